"""What W&B is told when a run is complete: metrics, classes, confusions, the surest mistakes, and
the bank it used.

All of it goes into the summary, which is written over: telling it twice is telling it once. The
history holds epochs and nothing else.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from discl.config.benchmark import Benchmark
from discl.core.conventions import SHOTS, id_test_split
from discl.core.errors import UserError
from discl.core.result import Result
from discl.engine.evaluation.confusion import ConfusionCounts, count, unpack
from discl.files.fetch import offline
from discl.harness.run.assembly import Bench
from discl.harness.run.mistakes import missed, worst_classes
from discl.harness.run.store import Store
from discl.harness.wandb import artifacts

WHOLE_MOST = 60  # classes whose confusions are shown whole
CONFUSIONS = 200  # the most frequent ones, where there are more classes
WORST, SHOWN, SIDE = 3, 8, 128  # classes, photos of each, their pixels


def tell(run: Any, result: Result, folder: Path, tell: Callable[[str], None]) -> None:
    """Everything at the end of a complete run.

    What cannot be had any more, such as predictions that were removed, is left out.
    """
    run.config.update(
        {"comparability": result.comparability, "provenance": result.provenance, "counts": result.counts},
        allow_val_change=True,
    )
    run.summary.update(_numbers(result))
    config = _config(folder)
    tell("metrics")
    for part in (_classes, _mistakes):
        try:
            part(run, result, folder, config)
        except (
            Exception
        ) as error:  # pictures are a courtesy: photos may be gone, parts may be anybody's
            print(
                f"{part.__name__.strip('_')} of {result.name} are not shown"
                f" ({type(error).__name__}: {error})",
                file=sys.stderr,
            )
        tell(part.__name__)
    if (bank := result.comparability.get("bank")) and (made := artifacts.of_bank(str(bank))):
        artifacts.use(run, made)
    run.log_artifact(artifacts.of_result(result, folder))
    tell("artifacts")


def _numbers(result: Result) -> dict[str, float]:
    """Metrics and costs.

    Those of val have been told by the epochs, as best and last; here they are those of the chosen
    epoch.
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


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "experiment.json").read_text("utf-8"))["config"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return config if isinstance(config, dict) else {}


def spec_of(config: Mapping[str, Any]) -> Benchmark:
    """The benchmark a run was made of, its strategy's parameters left out."""
    return Benchmark.model_validate(
        {key: value for key, value in config.items() if key != "seed"} | {"strategy": {}}
    )


# ---------------------------------------------------------------- classes


def _classes(run: Any, result: Result, folder: Path, config: Mapping[str, Any]) -> None:
    import wandb

    called = _called(result, folder)
    shots = SHOTS[str((config.get("metrics") or {}).get("shots", "kang"))].members(
        np.asarray(result.counts)
    )
    tested = (
        np.bincount(called.truth, called.photos, len(result.classes)).astype(int)
        if called
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
    if called:
        run.summary["confusions"] = _confusions(called, result.classes)
        if len(result.classes) <= WHOLE_MOST:
            run.summary["confusion_matrix"] = _heatmap(called, len(result.classes))


def _called(result: Result, folder: Path) -> ConfusionCounts | None:
    """What the photos of the home split were called."""
    home = id_test_split({key.rsplit("/", 1)[0] for key in result.metrics})
    if (packed := result.confusion_counts.get(home, {}).get("")) is not None:
        return unpack(home, "", packed)
    try:
        predictions = Store().predictions(folder)
    except UserError:
        return None
    return count(
        home, "", None, predictions[f"{home}/labels"], predictions[f"{home}/logits"].argmax(1)
    )


def _confusions(called: ConfusionCounts, classes: list[str]) -> Any:
    """What was called what: everything, or the most frequent mistakes where there are many classes."""
    import wandb

    pairs: dict[tuple[int, int], int] = {}
    for truth, guess, photos in zip(
        called.truth.tolist(), called.guess.tolist(), called.photos.tolist(), strict=True
    ):
        pairs[truth, guess] = pairs.get((truth, guess), 0) + photos
    tested = np.bincount(called.truth, called.photos, len(classes))
    if len(classes) > WHOLE_MOST:
        wrong = {pair: photos for pair, photos in pairs.items() if pair[0] != pair[1]}
        pairs = dict(sorted(wrong.items(), key=lambda item: (-item[1], item[0]))[:CONFUSIONS])
    rows = [
        [classes[truth], classes[guess], photos, photos / tested[truth]]
        for (truth, guess), photos in pairs.items()
    ]
    return wandb.Table(columns=["truth", "guess", "photos", "share of truth"], data=rows)


def _heatmap(called: ConfusionCounts, classes: int) -> Any:
    """A square a pair, a line a true class; the darker, the larger its share of the class."""
    import wandb
    from PIL import Image

    matrix = np.zeros((classes, classes))
    np.add.at(matrix, (called.truth, called.guess), called.photos)
    shares = matrix / np.maximum(1, matrix.sum(1, keepdims=True))
    dark, light = np.array([8, 48, 107]), np.array([247, 251, 255])
    pixels = (light + shares[:, :, None] * (dark - light)).round().astype(np.uint8)
    side = max(6, 480 // classes)
    picture = Image.fromarray(np.kron(pixels, np.ones((side, side, 1), np.uint8)))
    return wandb.Image(
        picture,
        caption=(
            "a line a true class, a column a guess, in the order of the table of classes; dark ="
            " often"
        ),
    )


# ---------------------------------------------------------------- mistakes


def _mistakes(run: Any, result: Result, folder: Path, config: Mapping[str, Any]) -> None:
    """Photos of the worst classes that the run is most surely wrong about, where they lie on this
    machine.
    """
    import wandb
    from PIL import Image

    predictions = Store().predictions(folder)
    home = id_test_split({key.rsplit("/", 1)[0] for key in result.metrics})
    bench = Bench(spec_of(config))
    with offline():
        if not bench.dataset.ready:
            return
        split = bench.dataset.split(home)
        table = wandb.Table(columns=["photo", "truth", "guess", "confidence", "photo id"])
        for label in worst_classes(predictions, home, WORST):
            for wrong in missed(predictions, home, label, SHOWN):
                if str(split.ids[wrong.row]) != wrong.id:
                    return  # other photos than those of the run
                picture = Image.fromarray(np.asarray(split.pixels[wrong.row]))
                picture.thumbnail((SIDE, SIDE))
                said = (
                    f"{result.classes[wrong.truth]}, taken for {result.classes[wrong.guess]}"
                    f" ({wrong.confidence:.0%})"
                )
                names = (result.classes[wrong.truth], result.classes[wrong.guess])
                table.add_data(
                    wandb.Image(picture, caption=said), *names, wrong.confidence, wrong.id
                )
    run.summary["mistakes"] = table
    bench.close()
