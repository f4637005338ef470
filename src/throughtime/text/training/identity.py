"""What makes two runs the same: data, configuration and seed. `--resume` continues only a run that it recognises."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from throughtime.runtime.atomic import write_file
from throughtime.spec.errors import ConfigError
from throughtime.text.config import TrainConfig
from throughtime.text.encoded import Corpus
from throughtime.text.reading.files import digest as file_digest

RUN_FILE = "run.json"


@dataclass(frozen=True)
class RunIdentity:
    """data: key of the corpus, which covers the files' content, columns, split and tokenisation; and of the content of
    pre-trained vectors, where they are used. config: all that decides the run; its description does not."""

    data: str
    config: dict[str, Any]
    seed: int

    @classmethod
    def of(cls, corpus: Corpus, config: TrainConfig, seed: int) -> "RunIdentity":
        data, encoder = corpus.key, config.encoder
        if encoder.embedding_init == "vectors" and encoder.vectors is not None:
            data = file_digest(encoder.vectors, str(encoder.vectors), data)
        return cls(data=data, config=config.model_dump(mode="json", exclude={"description"}), seed=seed)

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def save(self, scratch: Path) -> None:
        write_file(scratch / RUN_FILE, (json.dumps(asdict(self), indent=2) + "\n").encode())

    def require_same(self, scratch: Path) -> None:
        """Compares with the interrupted run in `scratch`.

        Raises:
            ConfigError: names the first difference, both values, and the way out.
        """
        path = scratch / RUN_FILE
        try:
            saved = RunIdentity(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"{path}: cannot be resumed ({reason}); start over with --force") from None
        difference = self._difference(saved)
        if difference:
            raise ConfigError(
                f"{scratch.parent}: --resume with {difference}; undo the change or start over with --force"
            )

    def _difference(self, saved: "RunIdentity") -> str | None:
        ours, theirs = _flat(self.config), _flat(saved.config)
        theirs.pop("description", None)  # earlier versions wrote it
        for key in sorted(ours.keys() | theirs.keys()):
            if ours.get(key) != theirs.get(key):
                return f"a changed configuration: {key} was {theirs.get(key)!r} and is {ours.get(key)!r}"
        if self.seed != saved.seed:
            return f"another seed: it was {saved.seed} and is {self.seed}"
        if self.data != saved.data:
            return (
                "changed data: the files or columns are not those that the run was started with, or it was started by "
                "another version of throughtime"
            )
        return None


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
