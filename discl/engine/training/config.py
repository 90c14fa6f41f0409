"""Settings of training: epochs, optimiser, augmentation, precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from discl.config.schedule import check_decay_every, check_milestones, check_warmup
from discl.core.errors import UserError


@dataclass(frozen=True)
class TrainConfig:
    """Settings by which a classifier is trained.

    `curriculum_epochs` of `epochs` follow the strategy; the rest see photos only. Raises UserError
    where a batch cannot be divided as `accumulate` and mixing need it, where the warm-up is longer
    than half the run, or where a schedule's decay lies outside the run. A length that is a float is
    a share of the run, an int a number of epochs.
    """

    epochs: int
    curriculum_epochs: int
    batch: int  # images an optimiser step, over all devices
    lr: float
    weight_decay: float
    optimiser: str  # any of timm's, e.g. muon
    warmup_epochs: int
    random_translate: int  # pixels, at most
    hflip: bool
    evaluate_every: int  # epochs between evaluations on val; the last epoch is always evaluated
    schedule: str = "cosine"  # any of timm's
    min_lr: float = 0.0
    warmup_steps: int = 0  # instead of warmup_epochs, where given
    warmup_divisor: float = 20.0  # the warm-up begins at lr / warmup_divisor
    # cosine, tanh and poly begin where the warm-up ends; False = they run under it
    schedule_after_warmup: bool = False
    milestones: Sequence[float] = (0.5, 0.75)  # of multistep, where lr is decayed (He et al. 2016)
    decay_every: float = 0.3  # of step: length between two decays
    decay_rate: float = 0.1  # of step and multistep: what lr is multiplied by
    poly_power: float = 1.0  # of poly: lr * (1 - progress) ** power, which ends at min_lr
    decay_norms: bool = False  # weight decay on biases and norms too
    momentum: float = 0.9
    # more arguments of timm.optim.create_optimizer_v2
    optimiser_arguments: Mapping[str, Any] = field(default_factory=dict)
    # epochs in which only the classifier is trained, and the trunk stays still (linear probing,
    # then fine-tuning: Kumar et al. 2022); the schedule runs over both
    head_only_epochs: int = 0
    accumulate: int = 1  # parts a batch is computed in; its gradients are summed
    grad_clip: float = 0.0  # largest norm of the gradient; 0 = any
    ema: float = 0.0  # decay of the running average of weights that is measured and kept; 0 = none
    ema_warmup: bool = True  # the average forgets faster at first, see `weight_average`
    mixup: float = 0.0  # alpha (Zhang et al. 2018)
    cutmix: float = 0.0  # alpha (Yun et al. 2019)
    # side of the square the network sees, from the middle where nothing is random; 0 = the photo
    crop: int = 0
    # pixels to a side that what is left is averaged to, in training and wherever the network is
    # measured; 0 = as it is. Augmentation comes before it
    side: int = 0
    # smallest and largest share of the area (torchvision's `scale`), after translation and
    # mirroring; () = no such crop
    random_resized_crop: Sequence[float] = ()
    crop_ratio: Sequence[float] = (3 / 4, 4 / 3)  # of such a crop, width by height
    # brightness, contrast and saturation are each multiplied by 1 - x to 1 + x; one x, or three
    color_jitter: float | Sequence[float] = 0.0
    # arguments of timm.data.create_transform; replaces random_translate, hflip,
    # random_resized_crop and color_jitter
    transform: Mapping[str, Any] = field(default_factory=dict)
    # with a `transform`, photos and images are read with their aspect kept, so that a random crop
    # may lie anywhere; False = their middle square, which needs no decoding
    whole_photos: bool = True
    # what computes a `transform`: "pillow", or "torch", which draws the same crops and colours, is
    # two to four times faster, and has values that differ by a few of 255
    transform_with: str = "pillow"
    precision: str = "auto"  # float32, bfloat16 or float16; auto: see `autocast_dtype`
    # the same of val, test and the probe; auto: see `evaluation_dtype`
    eval_precision: str = "auto"
    channels_last: bool = False
    compile: bool = False  # torch.compile: slow to start, pays on a GPU
    # processes that read and transform photos, where there is a `transform`; auto: all cores of a
    # GPU but one, and none on a CPU, whose cores train
    workers: int | str = "auto"

    def __post_init__(self) -> None:
        if self.batch % self.accumulate:
            raise UserError(
                f"train.accumulate = {self.accumulate} does not divide train.batch = {self.batch}"
            )
        if self.mixing and self.batch // self.accumulate % 2:
            raise UserError(
                f"train.mixup and cutmix pair images: {self.batch} / {self.accumulate} images a"
                " forward pass is odd; make it even"
            )
        if not self.warmup_steps:
            run_is = f"{self.epochs} epochs"
            check_warmup("train.warmup_epochs", self.warmup_epochs, self.epochs, run_is)
        if self.schedule == "multistep":
            check_milestones(self.milestones, self.epochs)
        if self.schedule == "step":
            check_decay_every(self.decay_every, self.epochs)

    @property
    def mixing(self) -> bool:
        """Whether images of a batch are mixed with each other."""
        return bool(self.mixup or self.cutmix)

    @property
    def colour_strengths(self) -> tuple[float, float, float]:
        """How far brightness, contrast and saturation may be from 1; 0 = not at all."""
        if isinstance(self.color_jitter, Sequence):
            brightness, contrast, saturation = self.color_jitter
            return brightness, contrast, saturation
        return (self.color_jitter,) * 3
