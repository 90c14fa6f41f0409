"""What fills an epoch, from the settings of [sampling]."""

from __future__ import annotations

from discl.config.benchmark import SamplingTable
from discl.engine.training.sampler import SamplerView, Targets
from discl.engine.training.tail_share import tail_shares


def epoch_targets(sampling: SamplingTable, view: SamplerView, classes: int, images: int) -> Targets:
    """Rules for epochs of `images` images of a training split as the sampler sees it."""
    shares = tail_shares(
        view, classes, sampling.tail_share, sampling.tail_weighting, sampling.synthetic_per_real
    )
    keeps = sampling.keep_hard_real
    return Targets(
        images,
        shares,
        sampling.max_repeats,
        keep_hard_real=None if keeps == "by_strategy" else keeps,
        include_easy=sampling.include_easy,
        alike=sampling.tail_weighting == "images",
        union=sampling.synthetic_per_real if sampling.tail_share == "union" else None,
    )
