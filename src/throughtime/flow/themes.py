"""Colours of the pictures, for light and dark pages. Lines stay apart for the colour-blind (Okabe & Ito 2008)."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from throughtime.flow.verdict import Verdict
from throughtime.spec.errors import OptionError

Theme: TypeAlias = Literal["light", "dark"]


@dataclass(frozen=True)
class Colours:
    """background, text, muted (secondary text), grid; lines in the order they are used; verdicts; ends of a gate."""

    background: str
    text: str
    muted: str
    grid: str
    lines: tuple[str, ...]
    verdicts: dict[Verdict, str]
    low: str
    between: str
    high: str


COLOURS: Final[dict[Theme, Colours]] = {
    "light": Colours(
        background="#FFFFFF",
        text="#1F2328",
        muted="#656D76",
        grid="#E4E7EB",
        lines=("#0072B2", "#D55E00", "#000000", "#CC79A7", "#009E73", "#E69F00", "#56B4E9", "#7F7F7F"),
        verdicts={"healthy": "#009E73", "vanishing": "#0072B2", "saturated": "#B5527F", "exploding": "#D55E00"},
        low="#0072B2",
        between="#E4E7EB",
        high="#D55E00",
    ),
    "dark": Colours(
        background="#0D1117",
        text="#E6EDF3",
        muted="#9198A1",
        grid="#262C36",
        lines=("#56B4E9", "#E06C1F", "#FFFFFF", "#CC79A7", "#2BC9A0", "#F0E442", "#E69F00", "#9A9A9A"),
        verdicts={"healthy": "#2BC9A0", "vanishing": "#56B4E9", "saturated": "#E59AC4", "exploding": "#FF8C42"},
        low="#56B4E9",
        between="#30363D",
        high="#E69F00",
    ),
}


def colours(theme: Theme) -> Colours:
    """Raises:
    OptionError: there is no such theme.
    """
    if theme not in COLOURS:
        raise OptionError(f"theme must be one of {', '.join(COLOURS)}, but is {theme!r}")
    return COLOURS[theme]
