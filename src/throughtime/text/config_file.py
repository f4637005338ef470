"""Configuration files: YAML in, a checked `TrainConfig` out."""

from pathlib import Path

import yaml

from throughtime.spec.errors import ConfigError
from throughtime.text.config import TrainConfig, parse_config


def read_config(path: Path) -> TrainConfig:
    """Reads a YAML file; what it leaves out has the plain value of `TrainConfig`, not that of a recipe.

    Raises:
        ConfigError: the file is missing, is not UTF-8 or YAML (names the line), or holds a wrong key or value.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such file; write one with `throughtime recipe show default > {path}`")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a configuration ({error}); give a UTF-8 YAML file") from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, origin: str) -> TrainConfig:
    """The same, from the text of a file named `origin`."""
    try:
        values = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{origin}, line {line}: not valid YAML ({error.problem}); correct this line") from None
    except (yaml.YAMLError, ValueError) as error:  # a ValueError is a date or tagged number that is none
        reason = " ".join(str(error).split())
        raise ConfigError(f"{origin}: not valid YAML ({reason}); correct this value") from None
    except RecursionError:
        raise ConfigError(f"{origin}: not valid YAML (brackets nested too deeply); give sections with keys") from None
    return parse_config({} if values is None else values, origin)
