"""Recipes: whole configurations by name, each a YAML file with comments in `recipes/`."""

from importlib.resources import files

from throughtime.spec.errors import ConfigError
from throughtime.text.config import TrainConfig
from throughtime.text.config_file import parse_yaml

_FOLDER = files("throughtime.text") / "recipes"


def recipe_names() -> list[str]:
    """All recipes there are, `default` first."""
    names = sorted(place.name.removesuffix(".yaml") for place in _FOLDER.iterdir() if place.name.endswith(".yaml"))
    return sorted(names, key=lambda name: name != "default")


def recipe_text(name: str) -> str:
    """The recipe's YAML with its comments.

    Raises:
        ConfigError: there is no such recipe; names those that there are.
    """
    if name not in recipe_names():
        raise ConfigError(f"there is no recipe {name!r}; choose one of {', '.join(recipe_names())}")
    return (_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")


def load_recipe(name: str) -> TrainConfig:
    """The recipe as a configuration."""
    return parse_yaml(recipe_text(name), f"recipe {name}")
