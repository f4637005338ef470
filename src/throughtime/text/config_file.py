"""Configuration files: YAML in, a checked `TrainConfig` out."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from throughtime.spec.errors import ConfigError
from throughtime.text.config import TrainConfig, parse_config


class _EveryKeyOnce(yaml.SafeLoader):
    """YAML's safe loader takes the last of equal keys, and with it drops a whole section that was written twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            name = (key.tag, key.value)
            if name in seen:
                problem = f"the key {key.value} stands on line {seen[name]} already"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen[name] = key.start_mark.line + 1
        return super().construct_mapping(node, deep)


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
        values = yaml.load(text, Loader=_EveryKeyOnce)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{origin}, line {line}: not valid YAML ({error.problem}); correct this line") from None
    except (yaml.YAMLError, ValueError) as error:  # a ValueError is a date or tagged number that is none
        reason = " ".join(str(error).split())
        raise ConfigError(f"{origin}: not valid YAML ({reason}); correct this value") from None
    except RecursionError:
        raise ConfigError(f"{origin}: not valid YAML (brackets nested too deeply); give sections with keys") from None
    return parse_config({} if values is None else values, origin)
