"""The W&B summary of a complete run: metrics, classes, confusions, mistakes and artifacts.

A summary is overwritten, so it may be written twice; the history holds nothing but epochs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from discl.config.benchmark import Benchmark
from discl.core.conventions import EPOCH_RULES, SHOTS, VAL, id_test_split
from discl.core.errors import UserError
from discl.core.result import Result
from discl.core.seals import read_sealed
from discl.core.text import echo
from discl.engine.evaluation.confusion import ConfusionCounts, count, unpack
from discl.files.fetch import offline
from discl.harness.leaderboard.epochs import EpochReading, read
from discl.harness.run.assembly import Bench
from discl.harness.run.mistakes import misclassified, worst_classes
from discl.harness.run.store import Store
from discl.harness.wandb import artifacts

MAX_MATRIX_CLASSES = 60  # with more classes only the most frequent confusions are shown
MAX_CONFUSIONS = 200
MISTAKE_CLASSES = 3  # the classes with the lowest recall
MISTAKES_PER_CLASS = 8
PICTURE_SIDE = 128  # pixels


def write(run: Any, result: Result, folder: Path, on_step: Callable[[str], None]) -> None:
    """Write the summary and artifacts of a complete run; leaves out parts whose files are gone."""
    run.config.update(
        {
            "comparability": result.comparability,
            "provenance": result.provenance,
            "counts": result.counts,
        },
        allow_val_change=True,
    )
    config = _config(folder)
    at = read([result], _epoch_of(config))
    result = at.results[0]
    run.summary.update(_numbers(result) | _of_other_epoch(at))
    on_step("metrics")
    for part in (_classes, _mistakes):
        try:
            part(run, result, folder, config)
        except Exception as error:  # photos may be gone, and plug-ins may raise anything
            echo(
                f"{part.__name__.strip('_')} of {result.name} are not shown"
                f" ({type(error).__name__}: {error})",
                err=True,
            )
        on_step(part.__name__)
    bank = result.comparability.get("bank")
    artifact = artifacts.bank_artifact(str(bank)) if bank else None
    if artifact:
        artifacts.use_artifact(run, artifact)
    run.log_artifact(artifacts.result_artifact(result, folder))
    on_step("artifacts")


def _numbers(result: Result) -> dict[str, Any]:
    """Metrics and costs at the epoch that is read; val metrics are under `chosen/`.

    The epochs already gave the best and the last val metrics.
    """
    metrics = {
        f"chosen/{key.removeprefix('val/')}" if key.startswith("val/") else key: value
        for key, value in result.metrics.items()
    }
    return {
        **metrics,
        "chosen_epoch": result.chosen_epoch,
        **{f"cost/{key}": cost for key, cost in result.cost.items()},
    }


def _epoch_of(config: Mapping[str, Any]) -> str:
    """The rule of a run's benchmark; that of earlier versions where it names none."""
    select = config.get("select")
    named = select.get("epoch") if isinstance(select, Mapping) else None
    return named if named in EPOCH_RULES else VAL.name


def _of_other_epoch(at: EpochReading) -> dict[str, Any]:
    """The rule, and the same metrics by the other one, under `last_epoch/` or `val_epoch/`."""
    other = {
        f"{result.rule.name}_epoch/{key}": value
        for result in at.other
        for key, value in result.metrics.items()
    }
    return {"epoch_rule": at.rule.name, **other}


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = read_sealed(folder / "experiment.json", "")["config"]
    except (UserError, KeyError):
        return {}
    return config if isinstance(config, dict) else {}


def spec_of(config: Mapping[str, Any]) -> Benchmark:
    """The benchmark of a run's configuration, without the parameters of its strategy."""
    return Benchmark.model_validate(
        {key: value for key, value in config.items() if key != "seed"} | {"strategy": {}}
    )


# ---------------------------------------------------------------- classes


def _classes(run: Any, result: Result, folder: Path, config: Mapping[str, Any]) -> None:
    import wandb

    confusion = _confusion(result, folder)
    shots = SHOTS[str((config.get("metrics") or {}).get("shots", "kang"))].members(
        np.asarray(result.group_counts)
    )
    tested = (
        np.bincount(confusion.truth, confusion.photos, len(result.classes)).astype(int)
        if confusion
        else None
    )
    table = wandb.Table(columns=["class", "group", "training photos", "test photos", "recall"])
    for label, name in enumerate(result.classes):
        group = next(group for group, members in shots.items() if members[label])
        table.add_data(
            name,
            group,
            result.counts[label],
            None if tested is None else int(tested[label]),
            result.class_recalls[label],
        )
    run.summary["classes"] = table
    if confusion:
        run.summary["confusions"] = _confusion_table(confusion, result.classes)
        if len(result.classes) <= MAX_MATRIX_CLASSES:
            run.summary["confusion_matrix"] = _heatmap(confusion, len(result.classes))


def _confusion(result: Result, folder: Path) -> ConfusionCounts | None:
    """Confusion counts of the in-distribution test split; None where the predictions are gone."""
    test = _test_split(result)
    packed = result.confusion_counts.get(test, {}).get("")
    if packed is not None:
        return unpack(test, "", packed)
    try:
        predictions = Store().predictions(folder, result.predictions_file)
    except UserError:
        return None
    guesses = predictions[f"{test}/logits"].argmax(1)
    return count(test, "", None, predictions[f"{test}/labels"], guesses)


def _test_split(result: Result) -> str:
    return id_test_split({key.rsplit("/", 1)[0] for key in result.metrics})


def _confusion_table(confusion: ConfusionCounts, classes: list[str]) -> Any:
    """A table of all confusions, or of the most frequent mistakes where there are many classes."""
    import wandb

    pairs: dict[tuple[int, int], int] = {}
    for truth, guess, photos in zip(
        confusion.truth.tolist(), confusion.guess.tolist(), confusion.photos.tolist(), strict=True
    ):
        pairs[truth, guess] = pairs.get((truth, guess), 0) + photos
    class_sizes = np.bincount(confusion.truth, confusion.photos, len(classes))
    if len(classes) > MAX_MATRIX_CLASSES:
        mistakes = {pair: photos for pair, photos in pairs.items() if pair[0] != pair[1]}
        pairs = dict(
            sorted(mistakes.items(), key=lambda item: (-item[1], item[0]))[:MAX_CONFUSIONS]
        )
    rows = [
        [classes[truth], classes[guess], photos, photos / class_sizes[truth]]
        for (truth, guess), photos in pairs.items()
    ]
    return wandb.Table(columns=["truth", "guess", "photos", "share of truth"], data=rows)


def _heatmap(confusion: ConfusionCounts, classes: int) -> Any:
    """A picture of the confusion matrix; the darker a square, the larger its share of the row."""
    import wandb
    from PIL import Image

    matrix = np.zeros((classes, classes))
    np.add.at(matrix, (confusion.truth, confusion.guess), confusion.photos)
    shares = matrix / np.maximum(1, matrix.sum(1, keepdims=True))
    dark = np.array([8, 48, 107])
    light = np.array([247, 251, 255])
    pixels = (light + shares[:, :, None] * (dark - light)).round().astype(np.uint8)
    side = max(6, 480 // classes)
    picture = Image.fromarray(np.kron(pixels, np.ones((side, side, 1), np.uint8)))
    caption = (
        "a row a true class, a column a guess, in the order of the table of classes; dark = often"
    )
    return wandb.Image(picture, caption=caption)


# ---------------------------------------------------------------- mistakes


def _mistakes(run: Any, result: Result, folder: Path, config: Mapping[str, Any]) -> None:
    """Add a table of the most confident mistakes in the worst classes, with their photos.

    Left out where the photos are not on this machine, or are others than those of the run.
    """
    import wandb
    from PIL import Image

    predictions = Store().predictions(folder, result.predictions_file)
    test = _test_split(result)
    bench = Bench(spec_of(config))
    with offline():
        if not bench.dataset.ready:
            return
        split = bench.dataset.split(test)
        table = wandb.Table(columns=["photo", "truth", "guess", "confidence", "photo id"])
        for label in worst_classes(predictions, test, MISTAKE_CLASSES):
            for wrong in misclassified(predictions, test, label, MISTAKES_PER_CLASS):
                if str(split.ids[wrong.row]) != wrong.id:
                    return
                picture = Image.fromarray(np.asarray(split.pixels[wrong.row]))
                picture.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
                truth = result.classes[wrong.truth]
                guess = result.classes[wrong.predicted]
                caption = f"{truth}, taken for {guess} ({wrong.confidence:.0%})"
                photo = wandb.Image(picture, caption=caption)
                table.add_data(photo, truth, guess, wrong.confidence, wrong.id)
    run.summary["mistakes"] = table
    bench.close()
