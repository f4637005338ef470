"""tokenizer.json → a tokenizer: the vocabulary is the file's, all else this package's own.

The format belongs to the tokenizers library, and can say far more than this package writes: normalisers that blow up a
text, models that draw lots, what makes the library panic. So the file is compared with what is written here, and the
tokenizer built anew: the library never sees the file.
"""

import json
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

from tokenizers import Tokenizer, models

from throughtime.runtime.pipelines import TokenizerKind, pipeline
from throughtime.spec.errors import ModelError
from throughtime.spec.model import PAD_ID, PAD_TOKEN, UNKNOWN_ID, UNKNOWN_TOKEN

_REMEDY: Final = "restore it from a copy, or train again with --force"
_KINDS: Final[Mapping[str, Sequence[TokenizerKind]]] = {"WordLevel": ("words", "characters"), "BPE": ("bpe",)}
"""Type of the model → what writes it."""
_CUTTING: Final = ("normalizer", "pre_tokenizer")
_LEARNT: Final = frozenset({*_CUTTING, "model", "added_tokens", "vocab", "merges"})
"""Fields that are looked at on their own; all others are always the same."""
_SPECIAL: Final = {PAD_TOKEN: PAD_ID, UNKNOWN_TOKEN: UNKNOWN_ID}


def read_tokenizer(tokenizer_json: str) -> tuple[Tokenizer, dict[str, int]]:
    """The tokenizer in the content of a tokenizer.json, and the id of each token.

    "[PAD]" and "[UNK]" in a text are characters like any others. Fields that other versions of the library write in
    addition, or leave out, do not matter.

    Raises:
        ModelError: it is no JSON, or says something that this package never writes; the message names it.
    """
    try:
        content = json.loads(tokenizer_json)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"tokenizer.json cannot be read ({error}): {_REMEDY}") from error
    model = content.get("model") if isinstance(content, dict) else None
    if not isinstance(model, dict):
        raise ModelError(f"tokenizer.json holds no model: {_REMEDY}")
    kind = model.get("type")
    if not isinstance(kind, str) or kind not in _KINDS:
        _refuse("model.type", kind, " or ".join(_KINDS))
    tokenizer = _pipeline(content, _KINDS[kind])
    written = json.loads(tokenizer.to_str())
    _check_fields("", content, written)
    _check_fields("model.", model, written["model"])
    _check_added(content.get("added_tokens"))
    vocabulary = _vocabulary(model.get("vocab"))
    if kind == "BPE":
        merges = _merges(model.get("merges"), vocabulary)
        tokenizer.model = models.BPE(vocab=vocabulary, merges=merges, unk_token=UNKNOWN_TOKEN)
    else:
        tokenizer.model = models.WordLevel(vocabulary, unk_token=UNKNOWN_TOKEN)
    return tokenizer, vocabulary


def _pipeline(content: Mapping[str, Any], kinds: Sequence[TokenizerKind]) -> Tokenizer:
    """The pipeline of this package that cuts texts as the file says."""
    known = dict.fromkeys(_CUTTING, False)
    for kind in kinds:
        for lowercase in (True, False):
            tokenizer = pipeline(kind, lowercase)
            written = json.loads(tokenizer.to_str())
            alike = {part: _alike(content.get(part), written[part]) for part in _CUTTING}
            if all(alike.values()):
                return tokenizer
            known = {part: known[part] or alike[part] for part in _CUTTING}
    odd = "normalizer" if not known["normalizer"] else "pre_tokenizer"
    raise ModelError(f"tokenizer.json has a {odd} that throughtime does not write: {_REMEDY}")


def _alike(found: Any, written: Any) -> bool:
    """Whether two parts say the same in what both have: versions of the library differ in the defaults they write."""
    if isinstance(written, dict) and "type" in written:
        if not isinstance(found, dict) or found.get("type") != written["type"]:
            return False
        return all(_alike(found[name], value) for name, value in written.items() if name in found)
    if isinstance(written, list):
        if not isinstance(found, list) or len(found) != len(written):
            return False
        return all(map(_alike, found, written))
    return type(found) is type(written) and bool(found == written)


def _check_fields(path: str, found: Mapping[str, Any], written: Mapping[str, Any]) -> None:
    for name, value in written.items():
        if name not in _LEARNT and name in found and not _alike(found[name], value):
            _refuse(path + name, found[name], json.dumps(value))


def _check_added(added: Any) -> None:
    """Byte-pair encoding's training lists [PAD] and [UNK] here again."""
    if not isinstance(added, list):
        _refuse("added_tokens", added, "a list")
    for token in added:
        name = token.get("content") if isinstance(token, dict) else None
        if not isinstance(name, str) or name not in _SPECIAL or token.get("id") != _SPECIAL[name]:
            _refuse("added_tokens", token, f"{PAD_TOKEN} and {UNKNOWN_TOKEN} at most")


def _vocabulary(found: Any) -> dict[str, int]:
    """Tokens and their ids: 0, 1, 2, …, each once, as rows of the embedding."""
    if not isinstance(found, dict):
        _refuse("model.vocab", found, "tokens and their ids")
    for token, row in _SPECIAL.items():
        if found.get(token) != row:
            _refuse(f"model.vocab's {token}", found.get(token), str(row))
    ids = list(found.values())
    if set(map(type, ids)) != {int} or sorted(ids) != list(range(len(ids))):
        free = set(range(len(ids)))
        for token, row in found.items():
            if type(row) is not int or row not in free:
                _refuse(f"model.vocab's {reprlib.repr(token)}", row, f"an id of its own below {len(ids)}")
            free.remove(row)
    try:
        "\n".join(found).encode()
    except UnicodeEncodeError as error:
        raise ModelError(f"tokenizer.json holds a token that is no text ({error.reason}): {_REMEDY}") from error
    return found


def _merges(found: Any, vocabulary: Mapping[str, int]) -> list[tuple[str, str]]:
    """Pairs of tokens that become one; before version 0.20 the library wrote "a b" for ["a", "b"]."""
    if not isinstance(found, list):
        _refuse("model.merges", found, "a list")
    pairs = [pair.split(" ") if isinstance(pair, str) else pair for pair in found]
    for pair in pairs:
        are_tokens = isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair)
        if not are_tokens or not vocabulary.keys() >= {*pair, "".join(pair)}:
            _refuse("model.merges", pair, "pairs of tokens that make a token")
    return [(first, second) for first, second in pairs]


def _refuse(name: str, found: Any, written: str) -> NoReturn:
    raise ModelError(f"tokenizer.json: {name} is {reprlib.repr(found)}, but throughtime writes {written}: {_REMEDY}")
