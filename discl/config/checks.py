"""Checks of a benchmark that its types cannot make, before any work.

Parts exist and take their parameters, levels differ, and only val selects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from discl.config.benchmark import NO_SECOND_STAGE, PART_KINDS, Benchmark, PartKind, SamplingTable
from discl.config.part_cache import PartCache
from discl.config.schedule import check_decay_every, check_milestones, check_warmup
from discl.config.stages import start
from discl.core.conventions import SHOTS, base_name, epoch_rule
from discl.core.errors import UserError, unknown
from discl.core.levels import PHOTO, Counting, check_levels
from discl.core.metric_names import default_names, measured_on
from discl.core.registry import bind, find, names, singular


def check_benchmark(bench: Benchmark, parts: PartCache) -> None:
    """Raises UserError where a benchmark cannot run as it stands."""
    _check_parts(bench, parts)
    check_strategies(bench, bench.strategies, parts)
    _check_lists(bench)
    _check_metrics(bench, parts)
    _check_numbers(bench, parts)
    _check_shares(bench, parts)
    _check_start(bench, parts)
    _check_boxes(bench, parts)


def _check_boxes(bench: Benchmark, parts: PartCache) -> None:
    """Raises UserError where the generator needs boxes and the dataset has none at all."""
    if not parts.get(bench.choices["generators"]).traits.needs_boxes:
        return
    if not parts.get(bench.choices["datasets"]).traits.has_boxes:
        raise UserError(
            f"generator {bench.generator['name']!r} goes by the boxes of photos, and dataset"
            f" {bench.dataset['name']!r} has none here; set dataset.boxes to a file of a detector"
            ' where the dataset takes one (folder, iwildcam), generator.mask = "centre" where the'
            ' object is in the middle, or generator.without_box = "whole"'
        )


def check_strategies(bench: Benchmark, strategies: Sequence[str], parts: PartCache) -> None:
    """Raises UserError where strategies are unknown, or ask for what cannot be made.

    Their levels must be levels of images, and no weights may have been trained on the photos that
    are learned from and tested on here.
    """
    for name in strategies:
        if not hasattr(find("strategies", name), "ordered"):  # one of another package
            raise UserError(
                f"strategy {name!r} does not say whether its levels have an order; give its class"
                " an attribute `ordered`: True, or False"
            )
    levels = tuple(bench.levels)
    used = {
        level
        for name in strategies
        for level in parts.get(bench.strategy_choice(name)).uses(levels)
    }
    for level in sorted(used.difference(levels)):
        check_levels([level], _counting(bench, parts))
    _check_guidance(bench, used.union(levels))
    _check_held_out(bench, parts, images=bool(used - {PHOTO}))


def _check_guidance(bench: Benchmark, levels: Set[int]) -> None:
    """Raises UserError for guidance of a level of which no image is made."""
    given = bench.generator.get("text_guidance_at")
    for level in given if isinstance(given, Mapping) else ():
        if int(level) not in levels:
            raise UserError(
                f"generator.text_guidance_at.{level} has no effect with levels = {bench.levels}, of"
                " which it is none; leave it out, or add the level"
            )


def _check_parts(bench: Benchmark, parts: PartCache) -> None:
    chosen = {kind: parts.get(bench.choices[kind]) for kind in PART_KINDS}
    check_levels(bench.levels, _counting(bench, parts))
    for kind in ("losses", "hard_rules", "second_stages"):  # raises for a parameter out of range
        _ = chosen[kind].traits
    for name in bench.strategy:
        parts.get(bench.strategy_choice(name))
    for name in bench.trackers:
        bind("trackers", name, {})
    choosers: tuple[PartKind, ...] = ("losses", "second_stages")
    for kind in choosers:
        if heads := chosen[kind].traits.heads:
            chooser = f"{singular(kind).replace('_', ' ')} {bench.choices[kind].name!r}"
            _check_head(chooser, heads, chosen["backbones"].traits.head)
    if bench.second_stage != NO_SECOND_STAGE and bench.select.wise_ft_alphas:
        raise UserError(
            f"select.wise_ft_alphas = {bench.select.wise_ft_alphas} mixes weights with the first"
            f" ones, and second_stage.name = {bench.second_stage['name']!r} replaces some; leave"
            " one out"
        )


def _counting(bench: Benchmark, parts: PartCache) -> Counting:
    return parts.get(bench.choices["generators"]).counting(bench.bank.size)


def _check_head(chooser: str, heads: Sequence[str], head: str) -> None:
    """Raises UserError where a loss or a second stage is not defined on the backbone's head.

    A backbone that names no head is judged by what its network gives, in the first step.
    """
    if head and head not in heads:
        fitting = " or ".join(f"'{name}'" for name in heads)
        raise UserError(
            f"{chooser} is not defined on backbone.head = {head!r}; set backbone.head = {fitting}"
            " where the backbone has it, or take another"
        )


def _check_lists(bench: Benchmark) -> None:
    lists: dict[str, Sequence[object]] = {"strategies": bench.strategies, "seeds": bench.seeds}
    for name, values in lists.items():
        if len(set(values)) != len(values):
            raise UserError(f"{name} = {values} repeats itself; name each once")


def _check_metrics(bench: Benchmark, parts: PartCache) -> None:
    if bench.metrics.shots not in SHOTS:
        raise unknown("rule for many, medium and few", bench.metrics.shots, SHOTS)
    epoch_rule(bench.select.epoch)
    parts.changed_metrics_json(bench)
    if not bench.select.metric.startswith("val/"):
        raise UserError(
            f"select.metric = {bench.select.metric!r} is not a val/ metric; epochs must not be"
            " chosen on test or ood, or their numbers are biased"
        )
    name = base_name(bench.select.metric)
    if name not in names("metrics"):
        raise unknown("metric (select.metric)", name, names("metrics"))
    if bench.select.metric != f"val/{name}":
        raise UserError(
            f"select.metric = {bench.select.metric!r} is not measured after each epoch, which is"
            f" that of the plain logits on the one split val; write 'val/{name}'"
        )
    if not measured_on(name, "val"):
        raise UserError(
            f"select.metric = {bench.select.metric!r}: {name} says nothing of predictions on val;"
            " choose another metric"
        )
    if name not in (*default_names(), *bench.metrics.extra):
        raise UserError(
            f"select.metric = {bench.select.metric!r} is not computed here; add {name!r} to"
            " metrics.extra"
        )


def _check_numbers(bench: Benchmark, parts: PartCache) -> None:
    if len(bench.bank.size) == 1:
        raise UserError(
            f"bank.size = {bench.bank.size}: takes [height, width], or [] for the size of the"
            " generator"
        )
    size = bench.generator.get("size")
    if bench.bank.size and isinstance(size, list | tuple) and list(size) != bench.bank.size[::-1]:
        raise UserError(
            f"bank.size = {bench.bank.size} (height, width) and generator.size = {list(size)}"
            " (width, height) are two sizes for one image; set one of them"
        )
    sampling = bench.sampling
    default = SamplingTable.model_fields["synthetic_per_real"].default
    if sampling.synthetic_per_real != default and sampling.tail_share not in ("photos", "union"):
        raise UserError(
            f"sampling.synthetic_per_real = {sampling.synthetic_per_real:g} has no effect unless"
            ' sampling.tail_share = "photos" or "union"; set both or neither'
        )
    if sampling.tail_share == "union" and sampling.tail_weighting != "images":
        raise UserError(
            f"sampling.tail_weighting = {sampling.tail_weighting!r} has no effect with tail_share ="
            ' "union", which draws all images alike; set sampling.tail_weighting = "images"'
        )
    if bench.train.curriculum_epochs > bench.train.epochs:
        raise UserError(
            f"train.curriculum_epochs = {bench.train.curriculum_epochs} exceeds train.epochs ="
            f" {bench.train.epochs}; set both, the first one to no more than the second"
        )
    if bench.train.head_only_epochs >= bench.train.epochs:
        raise UserError(
            f"train.head_only_epochs = {bench.train.head_only_epochs} leaves no epoch of"
            f" {bench.train.epochs} for the whole network; lower it, or set backbone.frozen = true"
            " where only a head shall be trained"
        )
    if bench.train.head_only_epochs and parts.get(bench.choices["backbones"]).traits.frozen:
        raise UserError(
            f"train.head_only_epochs = {bench.train.head_only_epochs} has no effect with"
            " backbone.frozen = true, which trains the head alone; set it to 0"
        )
    _check_augmentation(bench, parts)
    _check_schedule(bench, parts)


def _check_augmentation(bench: Benchmark, parts: PartCache) -> None:
    """Raises UserError where a crop or colours are asked for and would not be made."""
    train = bench.train
    asked = {
        "random_resized_crop": train.random_resized_crop,
        "color_jitter": any(train.color_jitter)
        if isinstance(train.color_jitter, list)
        else train.color_jitter,
    }
    why = ""
    if parts.get(bench.choices["backbones"]).traits.frozen:
        why = "backbone.frozen = true, whose features are computed once; take one of them away"
    elif train.transform:
        why = "train.transform, which replaces it; say it there (scale, color_jitter) or leave out"
        why += " train.transform"
    for name in asked if why else ():
        if asked[name]:
            given = getattr(train, name)
            raise UserError(f"train.{name} = {given} has no effect with {why}")
    if train.transform_with != "pillow" and not train.transform:
        raise UserError(
            f"train.transform_with = {train.transform_with!r} has no effect without"
            " train.transform; set both or neither"
        )
    if not train.random_resized_crop and "crop_ratio" in train.non_default():
        raise UserError(
            f"train.crop_ratio = {train.crop_ratio} has no effect without"
            " train.random_resized_crop; set both or neither"
        )


def _check_shares(bench: Benchmark, parts: PartCache) -> None:
    """Raises UserError where labels would be shares of several classes and the loss takes one.

    And where a setting says how large shares are, and there are none.
    """
    soft = parts.get(bench.choices["prompts"]).traits.has_target
    why = {
        f"prompts.name = {bench.prompts['name']!r} gives images soft labels of two": soft,
        f"train.mixup = {bench.train.mixup:g} mixes images": bool(bench.train.mixup),
        f"train.cutmix = {bench.train.cutmix:g} mixes images": bool(bench.train.cutmix),
    }
    if not parts.get(bench.choices["losses"]).traits.takes_shares:
        for reason in (reason for reason, is_so in why.items() if is_so):
            raise UserError(
                f"loss {bench.loss['name']!r} learns one class of each image, and {reason}; take"
                " another loss, such as 'ce', or change that"
            )
    if not soft and "soft_label_power" in bench.sampling.non_default():
        raise UserError(
            f"sampling.soft_label_power = {bench.sampling.soft_label_power:g} has no effect with"
            f" prompts.name = {bench.prompts['name']!r}, which edits no photo towards another"
            " class; take prompts.name = 'diffmix', or leave it out"
        )


def _check_schedule(bench: Benchmark, parts: PartCache) -> None:
    """Raises UserError where a run, or an out-of-fold model, is too short for its schedule."""
    train = bench.train
    models = parts.get(bench.choices["hard_rules"]).traits.fold_models
    runs = {"train.epochs": train.epochs}
    if models and models.epochs:
        runs["hard_rule.epochs"] = models.epochs
    for setting, epochs in runs.items():
        run_is = f"{setting} = {epochs}"
        if not train.warmup_steps:
            check_warmup("train.warmup_epochs", train.warmup_epochs, epochs, run_is)
        elif steps := bench.sampling.images // train.batch:
            run_is = f"{run_is} of {steps} steps"
            check_warmup("train.warmup_steps", train.warmup_steps, epochs * steps, run_is)
        if train.schedule == "multistep":
            check_milestones(train.milestones, epochs)
        if train.schedule == "step":
            check_decay_every(train.decay_every, epochs)


def _check_start(bench: Benchmark, parts: PartCache) -> None:
    """Raises UserError where the runs cannot begin as [train.start] says."""
    chosen = bench.train.start
    start.check_name(chosen)
    uses = {}
    if start.is_trained(chosen):
        choice = bench.strategy_choice(chosen.strategy)
        uses = {chosen.strategy: parts.get(choice).uses(bench.ascending_levels)}
    start.check_choice(bench, uses)
    if start.is_trained(chosen):
        made_by = start.benchmark_of(bench)
        try:
            _check_numbers(made_by, parts)
        except UserError as error:
            raise UserError(f"of the run that makes the start (train.start): {error}") from error


def _check_held_out(bench: Benchmark, parts: PartCache, images: bool) -> None:
    """Raises UserError where weights in use were trained on photos of val, test or ood.

    Weights of generators and scorers count only where images are made.
    """
    held_out = parts.get(bench.choices["datasets"]).traits.must_be_held_out
    if not held_out:
        return
    used: tuple[PartKind, ...] = ("backbones",)
    if images:
        used = ("backbones", "generators", "scorers")
    for kind in used:
        trained_on = parts.get(bench.choices[kind]).traits.trained_on & held_out
        if trained_on:
            raise UserError(
                f"the weights of {singular(kind)} {bench.choices[kind].name!r} were trained on"
                f" photos of dataset {bench.dataset['name']!r} ({', '.join(sorted(trained_on))});"
                " take other weights, have the dataset keep those apart, or compare strategies ="
                " ['real_only', 'real_rebalanced'], which need no images, with a backbone that is"
                " not pretrained"
            )
