"""tokenizer.json: what this package writes is read, and nothing else that the format could say."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from tokenizers import Tokenizer

from throughtime.runtime.pipelines import TokenizerKind
from throughtime.runtime.tokenizer_json import read_tokenizer
from throughtime.spec.errors import ModelError
from throughtime.text.tokenizing import TokenizerOptions, train_tokenizer

TEXTS = ["A good film, a good <br/>plot!", "The film wasn’t BAD at all...", "中文 film [PAD] no\u0301 [UNK]"] * 3
KINDS: list[TokenizerKind] = ["words", "characters", "bpe"]
WRITTEN = {
    (kind, lowercase): train_tokenizer(TEXTS, TokenizerOptions(kind, 100, lowercase=lowercase)).to_str()
    for kind in KINDS
    for lowercase in (True, False)
}
Change = Callable[[dict[str, Any]], object]


def changed(kind: TokenizerKind, change: Change) -> str:
    content = json.loads(WRITTEN[kind, True])
    change(content)
    return json.dumps(content)


def refused(tokenizer_json: str) -> str:
    with pytest.raises(ModelError) as caught:
        read_tokenizer(tokenizer_json)
    message = str(caught.value)
    assert message.startswith("tokenizer.json")
    assert message.endswith(": restore it from a copy, or train again with --force")
    assert message.isprintable()
    assert len(message) < 300
    return message


def test_what_is_written_is_read_as_the_library_reads_it() -> None:
    for written in WRITTEN.values():
        library = Tokenizer.from_str(written)
        read, vocabulary = read_tokenizer(written)
        library.encode_special_tokens = True
        assert vocabulary == read.get_vocab() == library.get_vocab()
        for text in [*TEXTS, "", "good\u200dbad \u0301 kino ▁x"]:
            assert read.encode(text).tokens == library.encode(text, add_special_tokens=False).tokens


def test_fields_of_other_versions_of_the_library_do_not_matter() -> None:
    def other(content: dict[str, Any]) -> None:
        content["novelty"] = None
        content["normalizer"]["normalizers"][-1]["novelty"] = False
        content["pre_tokenizer"]["pretokenizers"][0]["add_prefix_space"] = True
        content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
        del content["model"]["ignore_merges"], content["decoder"]

    read, expected = read_tokenizer(changed("bpe", other)), read_tokenizer(WRITTEN["bpe", True])
    assert read[1] == expected[1]
    assert read[0].to_str() == expected[0].to_str()


@pytest.mark.parametrize("broken", ["", "no json", "[" * 100_000, '{"model": ' + "9" * 5000 + "}"])
def test_what_is_no_json_is_refused(broken: str) -> None:
    assert "tokenizer.json cannot be read (" in refused(broken)


@pytest.mark.parametrize("broken", ["{}", "[]", "null", '{"model": 1}'])
def test_what_holds_no_model_is_refused(broken: str) -> None:
    assert "tokenizer.json holds no model" in refused(broken)


DOUBLE = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}


@pytest.mark.parametrize(
    ("kind", "change", "complaint"),
    [
        ("words", lambda c: c["normalizer"].update(normalizers=[DOUBLE] * 40), "has a normalizer that throughtime"),
        ("words", lambda c: c["normalizer"]["normalizers"].append(DOUBLE), "has a normalizer that throughtime"),
        ("words", lambda c: c["normalizer"]["normalizers"][1].update(pattern={"String": ""}), "has a normalizer"),
        ("words", lambda c: c.update(normalizer=None), "has a normalizer that throughtime does not write"),
        ("words", lambda c: c.update(normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"}), "normalizer"),
        ("words", lambda c: c.update(pre_tokenizer=None), "has a pre_tokenizer that throughtime does not write"),
        ("words", lambda c: c["pre_tokenizer"].update(pattern={"Regex": "(a*)*b"}), "has a pre_tokenizer that"),
        ("words", lambda c: c["pre_tokenizer"].update(invert=False), "has a pre_tokenizer that throughtime"),
        ("words", lambda c: c["model"].update(type="Unigram"), "model.type is 'Unigram', but throughtime writes Word"),
        ("words", lambda c: c["model"].update(type=["BPE"]), "model.type is ['BPE']"),
        ("words", lambda c: c["model"].update(type="BPE"), "has a normalizer that throughtime does not write"),
        ("words", lambda c: c["model"].update(unk_token="x"), "model.unk_token is 'x', but throughtime writes \"[UNK]"),
        ("words", lambda c: c["model"].update(vocab=[]), "model.vocab is []"),
        ("words", lambda c: c["model"]["vocab"].pop("[UNK]"), "model.vocab's [UNK] is None, but throughtime writes 1"),
        ("words", lambda c: c["model"]["vocab"].update(good=2**31), "vocab's 'good' is 2147483648, but throughtime"),
        ("words", lambda c: c["model"]["vocab"].update(good=10**4000), "model.vocab's 'good' is 1000000"),
        ("words", lambda c: c["model"]["vocab"].update(good=-1), "model.vocab's 'good' is -1, but throughtime"),
        ("words", lambda c: c["model"]["vocab"].update({"\x1b\n": 0}), r"vocab's '\x1b\n' is 0, but throughtime"),
        ("words", lambda c: c["model"]["vocab"].update({"[UNK]": True}), "model.vocab's '[UNK]' is True"),
        ("words", lambda c: c["model"]["vocab"].update(good=2.5), "model.vocab's 'good' is 2.5, but throughtime"),
        (
            "words",
            lambda c: c["model"]["vocab"].update({"\ud800": len(c["model"]["vocab"])}),
            "a token that is no text",
        ),
        ("words", lambda c: c.update(padding={"strategy": {"Fixed": 2**40}}), "padding is {'strategy': {'Fixed': 1099"),
        ("words", lambda c: c.update(truncation={"max_length": 1}), "truncation is {'max_length': 1}, but throughtime"),
        ("words", lambda c: c.update(post_processor={"type": "BertProcessing"}), "post_processor is {'type': 'Bert"),
        (
            "words",
            lambda c: c.update(added_tokens=[{"id": 2, "content": ""}]),
            "added_tokens is {'content': '', 'id': 2",
        ),
        ("words", lambda c: c.update(added_tokens=None), "added_tokens is None, but throughtime writes a list"),
        ("bpe", lambda c: c["model"].update(dropout=0.5), "model.dropout is 0.5, but throughtime writes null"),
        ("bpe", lambda c: c["model"].update(byte_fallback=True), "model.byte_fallback is True"),
        ("bpe", lambda c: c["model"].update(merges=[["x", "y"]]), "model.merges is ['x', 'y'], but throughtime writes"),
        ("bpe", lambda c: c["model"].update(merges=["o"]), "model.merges is ['o'], but throughtime writes pairs"),
        ("bpe", lambda c: c["model"].update(merges=None), "model.merges is None, but throughtime writes a list"),
    ],
)
def test_what_this_package_never_writes_is_refused(kind: TokenizerKind, change: Change, complaint: str) -> None:
    assert complaint in refused(changed(kind, change))


def test_two_tokens_of_one_id_are_refused() -> None:
    content = copy.deepcopy(json.loads(WRITTEN["words", True]))
    content["model"]["vocab"]["film"] = content["model"]["vocab"]["good"]
    assert "model.vocab's '" in refused(json.dumps(content))
