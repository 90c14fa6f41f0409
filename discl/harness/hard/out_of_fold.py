"""Out-of-fold predictions of the training photos: one model a fold, kept on disk once trained."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_128

from discl.core.errors import UserError
from discl.core.interfaces import Floats, FoldModels, FoldPredictions, Ints, Progress
from discl.core.plain_files import parsed_json, plain
from discl.core.seals import DamagedFileError, damaged
from discl.core.text import counted, typed
from discl.engine.hard_mining import assign_folds
from discl.engine.training import distributed
from discl.files.disk import atomic_write, folder_lock, write_text
from discl.files.sealed import AGAIN, load_archive, save_archive, told

TABLE = "photos.parquet"
_VALIDATION = b"selected"  # key in the table's metadata: select.metric of each model
_DIGEST = b"digest"
_COLUMNS = ("fold", "probability", "guess")


class HeldOutPredictions(NamedTuple):
    """Predictions of one model for the m photos of its fold, in their order."""

    probability: Floats  # [m], of the true class
    predicted: Ints  # [m], the most probable class
    validation: float  # select.metric on val after the last epoch; NaN where it is not measured


# trains a model on the rows `seen` [k] and predicts the rows `held_out` [m]; the last argument is
# called with (epochs done, of how many)
FitFold = Callable[[Ints, Ints, Callable[[int, int], None]], HeldOutPredictions]


@dataclass(frozen=True)
class OutOfFold:
    """Out-of-fold models of one benchmark: trains those that are missing and reads their answers.

    Selecting hard photos by the predictions is done elsewhere.
    """

    folder: Path  # holds nothing but these models
    description: Mapping[str, object]  # all that the predictions depend on; written beside them
    benchmark: str  # its name, for messages
    ids: NDArray[np.str_]  # [n], of the training photos
    labels: Ints  # [n]
    models: FoldModels
    fit: FitFold

    @cached_property
    def fold(self) -> Ints:
        """[n], the fold of each training photo."""
        return assign_folds(self.ids, self.labels, self.models.folds, self.models.seed)

    @property
    def table(self) -> Path:
        """The file of all predictions, a row a photo; it exists once all models are trained."""
        return self.folder / TABLE

    def missing(self) -> list[int]:
        """Folds whose model is still to be trained."""
        if self.table.exists():
            return []
        return [number for number in range(self.models.folds) if self._stored(number) is None]

    def train(self, progress: Progress) -> None:
        """Train the models that are missing; a stop loses the one in training and no other.

        Other processes of this machine wait meanwhile. Under torchrun all processes call this, and
        train together.
        """
        self._check_version()
        with folder_lock(self.folder) if distributed.is_main_process() else nullcontext():
            if distributed.broadcast(self.table.exists()):
                return
            if distributed.is_main_process():
                description = json.dumps(self.description, indent=1, sort_keys=True)
                write_text(self.folder / "models.json", description + "\n")
            answers = [
                distributed.broadcast(self._stored(number)) or self._train(number, progress)
                for number in range(self.models.folds)
            ]
            if distributed.is_main_process():
                self._write_table(answers)
        distributed.barrier()

    def _check_version(self) -> None:
        """Models of 0.1 have other ids, so they would not be found, and all be trained again."""
        old = sorted(self.folder.parent.glob("*/judges.json"))
        if old and not self.folder.exists():
            raise UserError(
                f"{old[0].parent} holds out-of-fold models of discl 0.1; `discl migrate` gives them"
                " the id of this version, or says why not; delete those that it leaves"
            )

    def predictions(self) -> FoldPredictions:
        """The predictions of all training photos.

        Raises UserError where a model is still to be trained, and where the file cannot be read.
        """
        if not self.table.exists():
            raise UserError(
                f"which photos of {self.benchmark} are hard is not known yet; run"
                f" `{typed('discl', 'hard', self.benchmark)}` with the same --scale and --set,"
                f" which trains {counted(len(self.missing()), 'model')} to find out"
            )
        table, _ = self._read_table()
        return FoldPredictions(table["fold"], table["probability"], table["guess"])

    def validation(self) -> list[float | None]:
        """Each model's value of select.metric on val."""
        _, values = self._read_table()
        return [None if value is None else float(value) for value in values]

    def _read_table(self) -> tuple[dict[str, NDArray[Any]], list[Any]]:
        """(columns [n] by name, value of each model on val).

        Raises DamagedFileError where the file is not as it was written.
        """
        way_out = f"delete it and run `{typed('discl', 'hard', self.benchmark)}`"
        stored = read_table(self.table, way_out)
        if stored.ids != self.ids.tolist():
            raise damaged(self.table, "cannot be read (it is of other photos)", way_out)
        return stored.columns, stored.values

    def _train(self, number: int, progress: Progress) -> HeldOutPredictions:
        doing = f"training out-of-fold model {number + 1} of {self.models.folds}"
        fitted = np.flatnonzero(self.fold != number)
        held_out = np.flatnonzero(self.fold == number)
        answer = self.fit(fitted, held_out, partial(progress, doing))
        if distributed.is_main_process():
            columns = {
                "probability": answer.probability,
                "guess": answer.predicted,
                "selected": np.float64(answer.validation),
            }
            save_archive(self._file(number), columns, self._name_of(number))
        return answer

    def _file(self, number: int) -> Path:
        return self.folder / f"fold-{number}.npz"

    def _name_of(self, number: int) -> str:
        return f"{self.folder.name} {number}"

    def _stored(self, number: int) -> HeldOutPredictions | None:
        """The answer of a fold's model; None where it is not trained, or its file is torn."""
        if not self._file(number).exists():
            return None
        try:
            stored = load_archive(self._file(number), AGAIN, self._name_of(number))
            return HeldOutPredictions(
                stored["probability"], stored["guess"], float(stored["selected"])
            )
        except (DamagedFileError, KeyError, ValueError, TypeError) as error:
            told(error)
            return None

    def _write_table(self, answers: list[HeldOutPredictions]) -> None:
        """Write the table of all photos, then remove the files of the folds."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        probability = np.empty(len(self.ids), np.float32)
        predicted = np.empty(len(self.ids), np.int64)
        for number, answer in enumerate(answers):
            probability[self.fold == number] = answer.probability
            predicted[self.fold == number] = answer.predicted
        columns = {
            "id": self.ids.tolist(),
            "label": self.labels,
            "fold": self.fold,
            "probability": probability,
            "guess": predicted,
        }
        values = [None if math.isnan(a.validation) else a.validation for a in answers]
        text = json.dumps(values)
        sealed = {name: np.asarray(columns[name]) for name in _COLUMNS}
        metadata = {_VALIDATION: text, _DIGEST: _digest(self.folder.name, sealed, text)}
        table = pa.table(columns).replace_schema_metadata(metadata)
        with atomic_write(self.table) as tmp:
            pq.write_table(table, tmp, write_page_checksum=True)
        for number in range(self.models.folds):
            self._file(number).unlink(missing_ok=True)


class StoredTable(NamedTuple):
    """The file of all predictions."""

    ids: list[str]  # [n], of the photos
    columns: dict[str, NDArray[Any]]  # [n] by name
    values: list[Any]  # of each model on val
    is_sealed: bool  # earlier versions wrote no digest


def read_table(path: Path, way_out: str) -> StoredTable:
    """The table in a file.

    Raises DamagedFileError, which ends with `way_out`, where it is not as it was written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(plain(path), page_checksum_verification=True) as opened:
            stored = opened.read(["id", *_COLUMNS])
        columns = {name: stored[name].to_numpy() for name in _COLUMNS}
        metadata = stored.schema.metadata
        text = metadata[_VALIDATION].decode()
        digest = metadata.get(_DIGEST, b"")
        ids, values = stored["id"].to_pylist(), parsed_json(text)
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise damaged(path, f"cannot be read ({error})", way_out) from error
    if digest not in (b"", _digest(path.parent.name, columns, text)):
        raise damaged(path, "cannot be read (its content is not what was sealed)", way_out)
    return StoredTable(ids, columns, values, bool(digest))


def _digest(models: str, columns: Mapping[str, NDArray[Any]], values: str) -> bytes:
    """Of the predictions, and of the models that made them."""
    digest = xxh3_128(f"{models} {values}".encode())
    for name in _COLUMNS:
        digest.update(np.ascontiguousarray(columns[name]).tobytes())
    return digest.hexdigest().encode()
