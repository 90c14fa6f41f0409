"""Under which conditions a table's numbers hold: photos, images, and what its runs begin from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint
from typing import Any

import numpy as np

from discl.config.benchmark import Benchmark, MetricsTable
from discl.config.identity import used_levels
from discl.config.part_cache import PartCache
from discl.config.stages.start import control_sentence, identity_of, start_sentence
from discl.core.class_counts import small_of
from discl.core.conventions import SHOTS, id_test_split
from discl.core.errors import UserError
from discl.core.levels import PHOTO
from discl.core.registry import bind, names
from discl.core.result import Result
from discl.engine.evaluation.confusion import unpack
from discl.harness.hard.scope import scope

UNKNOWN = "unknown"


def conditions(results: Sequence[Result]) -> tuple[str, ...]:
    """Sentences on the images that some results used, and on test photos that are in train, too."""
    sentences = list[str]()
    for result in results:
        if images := result.identity.get("images"):
            sentences += _sentences(result, images)
            break
    if results and (overlap := _overlap(results[0].comparability)):
        sentences.append(overlap)
    for result in results[:1]:
        sentences += filter(None, [start_sentence(result.identity.get("start"), result.cost)])
    return tuple(sentences)


def missing_control(results: Sequence[Result]) -> tuple[str, ...]:
    """A sentence where the runs of a table begin from a start, and its control is not there."""
    strategies = [result.strategy for result in results]
    begun = results[0].identity.get("start") if results else None
    return tuple(filter(None, [control_sentence(begun, strategies)]))


def sampler_shares(results: Sequence[Result]) -> tuple[str, ...]:
    """A sentence on what the sampler gave medium and few-shot classes, strategy by strategy.

    None where no result says it: it is not known of runs from before it was counted.
    """
    totals: dict[str, Counter[str]] = {}
    for result in results:
        totals.setdefault(result.strategy, Counter()).update(result.seen_by_group)
    by_share: dict[tuple[int, int], list[str]] = {}
    for strategy, groups in totals.items():
        if drawn := groups.total():
            shares = (round(100 * groups["few"] / drawn), round(100 * groups["medium"] / drawn))
            by_share.setdefault(shares, []).append(strategy)
    if not by_share:
        return ()
    largest = max(by_share, key=lambda shares: len(by_share[shares]))
    said = [
        f"{few} % few-shot and {medium} % medium"
        + ("" if (few, medium) == largest else f" under {', '.join(sorted(names))}")
        for (few, medium), names in sorted(
            by_share.items(), key=lambda item: (item[0] != largest, item)
        )
    ]
    return (f"Of all training images the sampler gave classes: {'; '.join(said)}.",)


def small_groups(results: Sequence[Result]) -> tuple[str, ...]:
    """A sentence on how many test photos each group of classes has, where one has few of them.

    None where no group has few, or the results do not keep their confusion counts.
    """
    return small_of(_test_photos(results[0]) if results else {})


def _test_photos(result: Result) -> dict[str, tuple[int, int]]:
    """many, medium, few -> classes and photos of the in-distribution test split, where it has any.

    Empty where that is not recorded.
    """
    split = id_test_split([key.rsplit("/", 1)[0] for key in result.metrics])
    packed = result.confusion_counts.get(split, {})
    rule = SHOTS.get(str(result.identity.get("metrics", {}).get("shots", MetricsTable().shots)))
    if not packed or rule is None or not result.group_counts:
        return {}
    prefix, text = next(iter(packed.items()))
    trained = np.array(result.group_counts, np.int64)
    try:
        confusion = unpack(split, prefix, text)
    except UserError:  # damaged; `leaderboard verify` says so
        return {}
    photos = np.bincount(confusion.truth, confusion.photos, minlength=len(trained)).astype(int)
    if len(photos) != len(trained):
        return {}
    return {
        name: (int((photos[among] > 0).sum()), int(photos[among].sum()))
        for name, among in rule.members(trained).items()
        if photos[among].any()
    }


def few_test_photos(spec: Benchmark) -> list[int]:
    """Test photos of each few-shot class that has any, of a benchmark whose data lies here, [c]."""
    from discl.harness.run.assembly import Bench  # imports torch

    bench = Bench(spec)
    count = len(bench.dataset.classes)
    tested = bench.dataset.split(id_test_split(bench.dataset.splits)).labels
    few = SHOTS[spec.metrics.shots].members(np.bincount(bench.train.labels, minlength=count))["few"]
    photos = np.bincount(tested, minlength=count)[few]
    return [int(each) for each in photos if each]


def conditions_of(spec: Benchmark) -> tuple[str, ...]:
    """The same of a benchmark whose data lies here, before anything is run."""
    from discl.harness.run.assembly import Bench  # imports torch

    parts = PartCache()
    levels = {level for name in spec.strategies for level in used_levels(spec, name, parts)}
    of_start = start_sentence(identity_of(spec), {})
    if not levels - {PHOTO}:
        return tuple(filter(None, [of_start]))
    bench = Bench(spec)
    rule = bench.hard_photos
    hard = scope(
        rule.bound.name,
        rule.rule,
        bench.counts,
        bench.dataset.classes,
        published_counts=bench.published_counts,
    )
    generator = getattr(bench.generator, "training_data", UNKNOWN)
    return tuple(filter(None, (hard, seen(generator), of_start)))


def seen(training_data: str) -> str:
    """A sentence on what a generator had been trained on."""
    if training_data == UNKNOWN:
        return (
            "What the generator had been trained on is unknown; it may have seen photos of the tail"
            " classes."
        )
    return (
        f"The generator had seen: {training_data}. That synthesis helps the tail is said of such a"
        " generator."
    )


def training_data_of(result: Result) -> str:
    """What the generator of a result with images had been trained on; `unknown` where none says."""
    told = result.provenance.get("training_data")
    return str(told or _as_shipped(result.identity["images"]["generator"]))


def _sentences(result: Result, images: Mapping[str, Any]) -> Iterator[str]:
    if hard := _hard(result):
        yield hard
    yield seen(training_data_of(result))


def _overlap(comparability: Mapping[str, Any]) -> str:
    """A sentence on test photos that are in train, too; "" where none is or nothing is known."""
    equal = comparability.get("equal_photos", 0)
    near = comparability.get("near_equal_photos", 0)
    if not equal and not near:
        return ""
    told = [f"{equal:,} are in train byte for byte"] if equal else []
    told += [f"{near:,} look like one of train"] if near else []
    return (
        f"Of the test photos {' and '.join(told)}: numbers flatter what has learned them by heart."
    )


def _hard(result: Result) -> str:
    """What was hard, from the result's own counts and rule; "" where the rule is not installed."""
    chosen = result.identity.get("hard_rule", {})
    if not result.counts or chosen.get("name") not in names("hard_rules"):
        return ""
    try:
        rule = bind("hard_rules", chosen["name"], chosen["parameters"]).build()
    except UserError:  # of another version of the package
        return ""
    return scope(
        chosen["name"],
        rule,
        np.array(result.counts),
        result.classes,
        published_counts=np.array(result.group_counts),
    )


def _as_shipped(generator: Mapping[str, Any]) -> str:
    """The training data of a generator that comes with discl, known by its weights."""
    known = names("generators").get(generator["name"])
    if known is None or isinstance(known, EntryPoint):
        return UNKNOWN
    part = bind("generators", generator["name"], {}).build()
    if part.identity().get("weights") != generator.get("weights"):
        return UNKNOWN
    return str(getattr(part, "training_data", UNKNOWN))
