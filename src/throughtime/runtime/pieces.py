"""A text's pieces, as a tokenizer's normaliser and pre-tokenizer cut them."""

from tokenizers import Tokenizer


class Pieces:
    """Cuts texts as `tokenizer` does, before its vocabulary is asked.

    Args:
        tokenizer: its normaliser and pre-tokenizer are used, its model is not.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._normaliser = tokenizer.normalizer
        self._pre_tokenizer = tokenizer.pre_tokenizer

    def __call__(self, text: str) -> list[str]:
        """The pieces of `text` in their order; lone surrogates are read as U+FFFD."""
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return [piece for piece, _ in self._pre_tokenizer.pre_tokenize_str(self._normaliser.normalize_str(text))]
