"""docs/article.md: its Python blocks print what it says, its commands exist, and so do the files that it names."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import torch

from throughtime.cli.main import main
from throughtime.text.recipe import recipe_text

ROOT: Final = Path(__file__).parents[2]
ARTICLE: Final = ROOT / "docs" / "article.md"
TEXT: Final = ARTICLE.read_text(encoding="utf-8")
ITEMS: Final = [f"A{number}" for number in range(1, 14)]


def _sections() -> dict[str, str]:
    """Item → its section."""
    parts = re.split(r"^## (A\d+) .*\n", TEXT, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _snippets() -> list[tuple[str, str, str]]:
    """(item, Python, what it prints) of every Python block."""
    block = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
    return [(item, *found) for item, section in _sections().items() for found in block.findall(section)]


def _commands() -> list[list[str]]:
    blocks = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    return [line.split() for block in blocks for line in block.splitlines()]


@pytest.fixture
def torch_seed() -> Iterator[None]:
    with torch.random.fork_rng():
        yield


def test_every_item_is_there_in_order_with_a_python_block() -> None:
    assert list(_sections()) == ITEMS
    assert sorted({item for item, _, _ in _snippets()}) == sorted(ITEMS)
    assert len(_snippets()) == TEXT.count("```python")


@pytest.mark.usefixtures("torch_seed")
@pytest.mark.parametrize(("item", "code", "printed"), _snippets(), ids=[item for item, _, _ in _snippets()])
def test_a_python_block_prints_what_stands_below_it(
    item: str, code: str, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    exec(compile(code, f"docs/article.md, {item}", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out == printed


def test_its_recipes_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    shown = [command for command in _commands() if command[:3] == ["throughtime", "recipe", "show"]]
    assert [command[3:] for command in shown] == [["article-lstm"], ["article-bag"]]
    for command in shown:
        assert main(command[1:]) == 0
        assert capsys.readouterr().out == recipe_text(command[3])


def test_its_training_commands_are_taken_up_to_the_missing_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the data are not, the refusal is of a file: every option and recipe before it was understood."""
    (tmp_path / "checkout").mkdir()
    monkeypatch.chdir(tmp_path / "checkout")
    training = [command for command in _commands() if command[1] == "train"]
    assert len(training) == len(_commands()) - 2
    for command in training:
        assert main(command[1:]) == 2
        named = [word for word in command if word.startswith("../")]
        message = capsys.readouterr().err
        assert any(message.startswith(f"throughtime: error: {file}: ") for file in named), message


def test_files_that_it_names_exist() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", TEXT)
    assert [link for link in links if not (ARTICLE.parent / link).exists()] == []
    paths = re.findall(r"`([a-z_/-]+(?:\.py|\.yaml|/))`", TEXT)
    assert len(paths) > 20
    places = (ROOT, ROOT / "src" / "throughtime")
    assert [path for path in paths if not any((place / path).exists() for place in places)] == []


def test_links_within_it_have_their_heading() -> None:
    anchors = {
        re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^## (.*)$", TEXT, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) == anchors
