"""Every equation that the code cites is in docs/derivations, and every numbered equation there has its code."""

import re
from pathlib import Path

import throughtime.equations

DERIVATIONS = Path(__file__).parents[3] / "docs" / "derivations"
CITATION = re.compile(r"([a-z-]+\.md) (\(\d+\)(?:, \(\d+\))*)")


def _cited() -> set[tuple[str, int]]:
    found: set[tuple[str, int]] = set()
    for source in Path(throughtime.equations.__path__[0]).glob("*.py"):
        for document, numbers in CITATION.findall(source.read_text(encoding="utf-8")):
            found |= {(document, int(number)) for number in re.findall(r"\d+", numbers)}
    return found


def _written() -> list[tuple[str, int]]:
    return [
        (document.name, int(number))
        for document in sorted(DERIVATIONS.glob("*.md"))
        for number in re.findall(r"\\tag\{(\d+)\}", document.read_text(encoding="utf-8"))
    ]


def test_every_cited_equation_is_written() -> None:
    assert len(_cited()) > 50
    assert _cited() - set(_written()) == set()


def test_equations_are_numbered_in_order_from_1() -> None:
    for document in DERIVATIONS.glob("*.md"):
        numbers = [number for name, number in _written() if name == document.name]
        assert numbers == list(range(1, len(numbers) + 1)), document.name


def test_every_equation_that_code_can_hold_is_cited() -> None:
    statements = {("rnn.md", 11), ("truncation.md", 5), ("truncation.md", 6), ("regularised-error.md", 1)}
    assert set(_written()) - _cited() == statements
