"""Records of version 0.1 as this version writes them: other keys and ids, the same numbers.

Pure functions of parsed JSON. A record that is not of version 0.1 is given back as it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from discl.config.identity import FOLD_MODELS, SCHEMA
from discl.config.renamed import KEYS
from discl.core.errors import UserError
from discl.core.hashing import canonical_json, joined_json, short, short_of_json
from discl.core.renamed_splits import are_old, renamed

Record = dict[str, Any]

OLD_SCHEMA = 1
RESULT_FIELDS = {"passport": "comparability", "outcomes": "confusion_counts"}
MAX_CLASS_IMAGES = 20  # default of the rule "tail" in 0.2
_PACED = ("epochs", "curriculum_epochs", "evaluate_every")  # out-of-fold models ignore them
FOLDS = range(2, 21)
EPOCHS = range(1, 1001)
SEEDS = range(32)


def is_old_identity(identity: Mapping[str, Any]) -> bool:
    """Whether the identity of a run, or of out-of-fold models, is one of 0.1."""
    return identity.get("schema") == OLD_SCHEMA


def convert_identity(
    identity: Mapping[str, Any], config: Mapping[str, Any] | None = None
) -> Record:
    """The identity of a run.

    `config` is the configuration the run was started with. Without it the parameters of out-of-fold
    models are found by trying, since an identity of 0.1 has only their hash. Raises UserError where
    they are not found.
    """
    if not is_old_identity(identity):
        return dict(identity)
    converted = {key: _renamed_keys(key, value) for key, value in identity.items() if key != "hard"}
    return converted | {"schema": SCHEMA, "hard_rule": _hard_rule(identity, config)}


def convert_config(config: Mapping[str, Any]) -> Record:
    """The configuration a run was started with."""
    if "hard" not in config:
        return dict(config)
    converted = {key: _renamed_keys(key, value) for key, value in config.items() if key != "hard"}
    return converted | {"hard_rule": _hard_rule_table(config["hard"]), "metric": {}}


def convert_result(stored: Mapping[str, Any], config: Mapping[str, Any] | None = None) -> Record:
    """A result; see `convert_identity` for `config`.

    Raises UserError where its id is not that of its identity, as after an edit by hand.
    """
    if not is_old_identity(stored["identity"]):
        return _with_renamed_splits(stored)
    if short(stored["identity"]) != stored["id"]:
        raise UserError(f"the settings of result {stored['id']} are not those of its id")
    result = {RESULT_FIELDS.get(key, key): value for key, value in stored.items()}
    identity = convert_identity(stored["identity"], config)
    comparison = {
        key: value for key, value in identity.items() if key not in ("strategy", "seed", "images")
    }
    result["identity"] = identity
    result["id"] = short(identity)
    result["comparability"] = {**stored["passport"], "comparison": short(comparison)}
    result["plugins"] = {}
    return _with_renamed_splits(result)


def _with_renamed_splits(stored: Mapping[str, Any]) -> Record:
    """A result whose corrupted photos have the names of this version."""
    if not are_old(stored.get("confusion_counts", ())):
        return dict(stored)
    by_split = ("confusion_counts", "metrics", "errors")
    return {**stored, **{key: renamed(stored[key]) for key in by_split}}


def convert_fold_models(description: Mapping[str, Any]) -> Record:
    """The description of out-of-fold models, whose hash names their folder."""
    if not is_old_identity(description):
        return dict(description)
    train = _renamed_keys("train", description["train"])
    return {**description, "schema": SCHEMA, "train": train}


def _renamed_keys(table: str, value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {KEYS.get(f"{table}.{key}", f".{key}").rpartition(".")[2]: v for key, v in value.items()}


def _hard_rule(identity: Mapping[str, Any], config: Mapping[str, Any] | None) -> Record:
    """The identity of the hard rule."""
    hard = identity["hard"]
    excluded = {"exclude": hard["exclude"]} if hard.get("exclude") else {}
    if hard.get("rule", "tail") == "tail":
        below = hard["below"]
        parameters = {} if below == MAX_CLASS_IMAGES else {"max_class_images": below}
        return {"name": "tail", "version": 1, "parameters": parameters | excluded}
    parameters = {key: hard[key] for key in ("fraction", "threshold") if key in hard}
    return {
        "name": hard["rule"],
        "version": 1,
        "parameters": parameters | excluded,
        "models": _fold_models(identity, config),
    }


def _hard_rule_table(hard: Mapping[str, Any]) -> Record:
    """The table of the hard rule in a configuration, with all its parameters."""
    if hard["rule"] == "tail":
        return {
            "name": "tail",
            "max_class_images": hard["below"],
            "exclude": hard["exclude"],
        }
    given = {key: hard[key] for key in ("fraction", "threshold") if hard[key] is not None}
    models = {key: hard[key] for key in ("folds", "epochs", "seed")}
    return {"name": hard["rule"], **given, **models, "exclude": hard["exclude"]}


def _fold_models(identity: Mapping[str, Any], config: Mapping[str, Any] | None) -> Record:
    """Folds, epochs and seed of the out-of-fold models whose hash an identity of 0.1 has."""
    hash_of = _HashOfModels(identity)
    candidates: Iterable[tuple[int, int, int]] = itertools.product(SEEDS, FOLDS, EPOCHS)
    if config is not None:
        hard = config["hard"]
        epochs = hard["epochs"] or identity["train"]["epochs"]
        candidates = itertools.chain([(hard["seed"], hard["folds"], epochs)], candidates)
    for seed, folds, epochs in candidates:
        if hash_of(folds, epochs, seed) == identity["hard"]["judges"]:
            return {"version": FOLD_MODELS, "folds": folds, "epochs": epochs, "seed": seed}
    raise UserError(
        f"the out-of-fold models {identity['hard']['judges']} have more than {FOLDS[-1]} folds,"
        f" {EPOCHS[-1]} epochs or a seed above {SEEDS[-1]}; run again with this version"
    )


class _HashOfModels:
    """The hash that 0.1 gave to out-of-fold models of a run."""

    def __init__(self, identity: Mapping[str, Any]) -> None:
        train = {key: value for key, value in identity["train"].items() if key not in _PACED}
        described = {"schema": OLD_SCHEMA, "version": 1, "train": train}
        described |= {key: identity[key] for key in ("dataset", "backbone", "loss")}
        self._values = {key: canonical_json(value) for key, value in described.items()}

    def __call__(self, folds: int, epochs: int, seed: int) -> str:
        numbers = {"folds": str(folds), "epochs": str(epochs), "seed": str(seed)}
        return short_of_json(joined_json(self._values | numbers))
