"""The model card: README.md of a model directory, for the person who finds the model later."""

import re
from typing import Any

from throughtime.spec.model import ModelConfig
from throughtime.text.reading.files import shown

_LONGEST = 10_000
"""Characters of a value; one that is longer is cut."""


def model_card(config: ModelConfig, metrics: dict[str, Any]) -> str:
    """Markdown: what the model is, from which data, by which protocol, its scores, its limits."""
    facts = config.training
    lines = [
        "# A text classifier, trained with throughtime",
        "",
        f"Classes: {', '.join(map(_code, config.labels))}. {_architecture(config)}",
        "",
        "```",
        'throughtime predict DIR "a text"',
        "throughtime evaluate DIR data.csv",
        "```",
        "",
        "## Data and protocol",
        "",
        f"Trained on {_code(facts.get('data', 'texts given in memory'))} with recipe {_code(facts.get('recipe'))}, "
        f"seed {facts.get('seed')}.",
        "",
        "| fact | value |",
        "|---|---|",
        *(f"| {name} | {_plain(value)} |" for name, value in _facts(facts)),
        "",
        "## Scores",
        "",
        *_scores(metrics),
        "",
        f"{_choice(facts, metrics)} A test part plays no role in training.",
        "",
        "## Limits",
        "",
        f"- It reads {_cut(config)}",
        f"- {_unknown(facts)} Texts of another kind, language or time than those it was trained on get an answer too, "
        "and it may be wrong with confidence.",
        "- A text without a single token gets the share of each class among the training texts.",
        "- It repeats whatever bias its training labels have.",
        "",
    ]
    return "\n".join(lines)


def _architecture(config: ModelConfig) -> str:
    encoder = config.encoder
    if encoder.kind == "bag":
        return f"Mean of the {encoder.embedding_size}-dimensional vectors of a text's tokens, then a linear layer."
    sizes = ", ".join(map(str, encoder.hidden_size))
    segment = "" if encoder.segment is None else f", started afresh every {encoder.segment} tokens"
    direction = "bidirectional " if encoder.bidirectional else ""
    return (
        f"Embedding ({encoder.embedding_size}) → {direction}{encoder.cell} ({sizes}){segment} → "
        f"{config.head.pooling} pooling → linear layer."
    )


def _facts(facts: dict[str, Any]) -> list[tuple[str, Any]]:
    shown = ("epochs", "best_epoch", "training_seconds", "tokens_per_second", "peak_memory_mb", "threads")
    rows = [(name, facts[name]) for name in shown if facts.get(name) is not None]
    for section in ("corpus", "embedding", "versions"):
        rows += [(f"{section}: {name}", value) for name, value in facts.get(section, {}).items()]
    return [(name.replace("_", " "), value) for name, value in rows]


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{_plain(key)} {_plain(part)}" for key, part in value.items())
    if isinstance(value, float):
        return f"{value:g}"
    return shown(value, _LONGEST).replace("|", "\\|")


def _code(value: Any) -> str:
    """`value` as code, on one line, whatever it holds."""
    text = shown(value, _LONGEST)
    if "`" not in text:
        return f"`{text}`"
    fence = "`" * (1 + max(map(len, re.findall("`+", text))))
    return f"{fence} {text} {fence}"


def _choice(facts: dict[str, Any], metrics: dict[str, Any]) -> str:
    """Which epoch is kept, and what that makes of the validation part's score."""
    if not metrics.get("validation"):
        return "The last epoch is kept: there is no validation part to choose by."
    if facts.get("best_epoch") is None:
        return (
            "The last epoch is kept, not the best. Where anything was chosen on the validation part, such as when to "
            "stop, its score is a little too good."
        )
    return (
        "The epoch that is kept, and anything else that was chosen, was chosen on the validation part; its score is "
        "therefore a little too good."
    )


def _unknown(facts: dict[str, Any]) -> str:
    """What the tokenizer does not know."""
    options = facts.get("configuration", {}).get("preprocessing", {})
    kind, count, size = (options.get(name) for name in ("tokenizer", "min_count", "vocabulary_size"))
    if kind == "bpe":
        return "A character that stands in no training text is unknown to it; words it puts together from pieces."
    if kind not in ("words", "characters"):
        return "A word that training saw too rarely is unknown to it."
    seen = "in no training text" if count == 1 else f"fewer than {count} times in the training texts"
    return f"A {kind[:-1]} that stands {seen}, or is not among the {size:,} most frequent, is unknown to it."


def _scores(metrics: dict[str, Any]) -> list[str]:
    parts = [(name, metrics[name]) for name in ("validation", "test") if metrics.get(name)]
    if not parts:
        return ["No part of the data was held out, so there is no score."]
    keys = [key for key, value in parts[0][1].items() if isinstance(value, int | float)]
    lines = ["| part | " + " | ".join(key.replace("_", " ") for key in keys) + " |", "|---" * (len(keys) + 1) + "|"]
    for name, scores in parts:
        lines.append(f"| {name} | " + " | ".join(_number(scores[key]) for key in keys) + " |")
    return lines


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4f}"


def _cut(config: ModelConfig) -> str:
    keep = config.preprocessing.max_tokens
    part = {"head": "the first", "tail": "the last", "head+tail": "the first and last"}[config.preprocessing.cut]
    which = f"{keep // 2} and {keep - keep // 2}" if config.preprocessing.cut == "head+tail" else str(keep)
    return f"{part} {which} tokens of a longer text, and nothing between or beyond."
