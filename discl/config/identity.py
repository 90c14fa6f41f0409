"""The identity of a run: everything that changes its answer, as canonical JSON.

Objects are put together from the canonical JSON of their values, since the experiments of a sweep
have most values in common.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from discl.config.benchmark import MAKERS, NO_SECOND_STAGE, Benchmark, PartKind
from discl.config.part_cache import CachedPart, PartCache
from discl.config.stages import start
from discl.core.hashing import canonical_json, joined_json
from discl.core.levels import PHOTO
from discl.core.registry import settings, singular

if TYPE_CHECKING:  # benchmark files are found without numpy
    from discl.core.interfaces import FoldModels

SCHEMA = 2  # raised when a run of an unchanged description would give other numbers or another id
PROBE = 2  # raised when a probe would measure other images where a threshold leaves images out
KEEPS_ALL = -1.0  # a bank.threshold that leaves out no image


def which_are_kept(threshold: float) -> str:
    """Which images a bank.threshold keeps, as a sentence says it after "kept: "."""
    return "all of them" if threshold <= KEEPS_ALL else f"those that score {threshold:g} or more"


SOURCE = "originals"  # what images are made from where the dataset has photos as they were taken
# raised when a head on frozen features would be trained otherwise where the recipe has an optimiser
# with a fallback; in version 1 no parameter of such a head was found by its name in the network
FROZEN_HEAD = 2
HEAD = "fc.*"  # in train.optimiser_arguments: the head of the whole network, whatever its name is
FOLD_MODELS = 1  # raised when out-of-fold models would predict otherwise


def head_patterns(arguments: Mapping[str, Any], modules: Sequence[str]) -> list[str]:
    """Patterns of a head's parameters, where an optimiser's fallback_list means it by `HEAD`.

    `modules` are the head's, as the backbone describes them. [] where the list does not mean it,
    where nothing is known of it, and where it has that name.
    """
    named = HEAD in arguments.get("fallback_list", ())
    patterns = [f"{module}.*" for module in modules]
    return patterns if named and patterns != [HEAD] else []


def used_levels(bench: Benchmark, strategy: str, parts: PartCache) -> tuple[int, ...]:
    """The levels a strategy may ask for, that of the photo included."""
    return _strategy(bench, strategy, parts).uses(bench.ascending_levels)


def comparison_json(bench: Benchmark, parts: PartCache) -> dict[str, str]:
    """The settings that all runs of one table share, by key, each as canonical JSON."""
    return dict(parts.once(bench, "comparison", lambda: _comparison_json(bench, parts)))


def _comparison_json(bench: Benchmark, parts: PartCache) -> dict[str, str]:
    values = {
        "schema": str(SCHEMA),
        "hard_rule": _hard_rule_json(bench, parts),
        **{name: getattr(bench, name).identity_json for name in ("sampling", "train", "select")},
        **_learned_json(bench, parts),
    }
    if bench.second_stage != NO_SECOND_STAGE:
        values["second_stage"] = _part(bench, "second_stages", parts).choice_json
    if begun := start.identity_of(bench):
        values["start"] = canonical_json(begun)
    if bench.metrics.identity_json != "{}":
        values["metrics"] = bench.metrics.identity_json
    changed_metrics = parts.changed_metrics_json(bench)
    if changed_metrics != "{}":
        values["metric"] = changed_metrics
    return values


def run_json(bench: Benchmark, strategy: str, seed: int, parts: PartCache) -> str:
    """The identity of a run.

    A strategy that uses no generated image does not depend on how they are made.
    """
    part = _strategy(bench, strategy, parts)
    values = comparison_json(bench, parts)
    values["strategy"] = part.choice_json
    values["seed"] = str(seed)
    levels = part.uses(bench.ascending_levels)
    if any(level != PHOTO for level in levels):
        values["images"] = parts.once(bench, levels, lambda: _images_json(bench, levels, parts))
        # with every image there, version 1 measured the same ones: those runs keep their ids
        if part.traits.has_probe and bench.bank.threshold > KEEPS_ALL:
            values["probe"] = str(PROBE)
    return joined_json(values)


def fold_models_identity(bench: Benchmark, models: FoldModels) -> dict[str, Any]:
    """All that out-of-fold models depend on, beside the photos.

    They are trained on photos only and predict after their last epoch, so the length of the
    curriculum is left out.
    """
    paced = ("epochs", "curriculum_epochs", "evaluate_every")
    train = {key: value for key, value in bench.train.non_default().items() if key not in paced}
    values = {
        "schema": canonical_json(SCHEMA),
        "train": canonical_json(train),
        **{key: canonical_json(value) for key, value in _fold_models(bench, models).items()},
        **_learned_json(bench, PartCache()),
    }
    identity: dict[str, Any] = json.loads(joined_json(values))
    return identity


def hard_rule_of_bank(bench: Benchmark) -> dict[str, Any]:
    """The hard rule as a bank's description has it: with the keys of version 0.1.

    The id of a bank seeds the noise of its images, so other keys for the same rule would give other
    images.
    """
    identity = bench.part("hard_rules").identity()
    parameters = dict(identity["parameters"])
    if (identity["name"], identity["version"]) == ("tail", 1):
        default = settings("hard_rules", "tail")["max_class_images"].default
        return {"below": parameters.pop("max_class_images", default), **parameters}
    if (identity["name"], identity["version"]) == ("low_confidence", 1):
        return {"rule": "low_confidence", **parameters}
    return identity


def _part(bench: Benchmark, kind: PartKind, parts: PartCache) -> CachedPart:
    return parts.get(bench.choices[kind])


def _strategy(bench: Benchmark, name: str, parts: PartCache) -> CachedPart:
    return parts.get(bench.strategy_choice(name))


def _learned_json(bench: Benchmark, parts: PartCache) -> dict[str, str]:
    """Photos, network and loss, and the version of how a head alone is trained."""
    backbone = _part(bench, "backbones", parts)
    values = {
        "dataset": _part(bench, "datasets", parts).identity_json,
        "backbone": backbone.identity_json,
        "loss": _part(bench, "losses", parts).choice_json,
    }
    arguments = bench.train.optimiser_arguments
    if arguments.get("fallback_list"):
        # other heads were always trained by the recipe: those runs keep their ids
        if backbone.traits.frozen:
            values["frozen_head"] = str(FROZEN_HEAD)
        # before, a head of another name was no part of the fallback
        elif HEAD in arguments["fallback_list"] and (
            patterns := head_patterns(arguments, backbone.head_modules)
        ):
            values["head"] = canonical_json(patterns)
    return values


def _hard_rule_json(bench: Benchmark, parts: PartCache) -> str:
    rule = _part(bench, "hard_rules", parts)
    models = rule.traits.fold_models
    if models is None:
        return rule.choice_json
    described = {"models": _fold_models(bench, models)}
    return canonical_json(json.loads(rule.choice_json) | described)


def _fold_models(bench: Benchmark, models: FoldModels) -> dict[str, int]:
    return {
        "version": FOLD_MODELS,
        "folds": models.folds,
        "epochs": models.epochs or bench.train.epochs,
        "seed": models.seed,
    }


def _images_json(bench: Benchmark, levels: tuple[int, ...], parts: PartCache) -> str:
    used = {"levels": _levels_json(levels), **bench.bank.images_json}
    if _part(bench, "datasets", parts).traits.has_originals:
        used["source"] = canonical_json(SOURCE)
    if parts.get(bench.choices["generators"]).traits.takes_boxes:
        used["boxes"] = canonical_json(_part(bench, "datasets", parts).boxes_digest)
    makers = {singular(kind): _part(bench, kind, parts).identity_json for kind in MAKERS}
    return joined_json(used | makers)


@lru_cache(maxsize=1024)
def _levels_json(levels: tuple[int, ...]) -> str:
    return canonical_json(levels)
