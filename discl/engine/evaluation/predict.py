"""Logits and features of whole splits."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from discl.core.compute.memory import InParts
from discl.core.errors import UserError
from discl.core.interfaces import Floats, Photos, Split
from discl.engine.evaluation.confusion import has_several_groups
from discl.engine.prefetch import prefetched
from discl.engine.training import distributed

CHUNK = 500  # photos a forward pass
KEPT_BYTES = 1 << 28  # of logits or features that stay on a device until they are downloaded
TOO_SMALL = (
    "not even one photo goes through the network at a time: its device is out of memory; end what"
    " else uses the device, set a smaller backbone.model, train.crop or train.side, or compute on"
    " the CPU with CUDA_VISIBLE_DEVICES="
)

# from uint8 photos [b, h, w, 3], or features [b, d], on the device, to the network's input
Preprocess = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Normaliser:
    """From photos uint8 [b, h, w, 3] to the float [b, 3, h, w] a backbone wants.

    This is the one place where pixels change their layout and number. `crop` is the side of the
    middle square that is kept, 0 = all; `side` is that of the square it is averaged to, 0 = as it
    is. Raises UserError where the photos are smaller than that.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    crop: int = 0
    side: int = 0

    def __call__(self, photos: Tensor) -> Tensor:
        mean = _channels(self.mean, photos.device)
        std = _channels(self.std, photos.device)
        pixels = self._averaged(self._middle(photos)).permute(0, 3, 1, 2)
        return pixels.float().sub_(mean).div_(std)

    def _averaged(self, photos: Tensor) -> Tensor:
        """[b, side, side, 3]: means of the areas that become a pixel."""
        if not self.side:
            return photos
        count, height, width, channels = photos.shape
        if min(height, width) < self.side:
            raise too_large("side", self.side, height, width)
        down, down_over = divmod(height, self.side)
        across, across_over = divmod(width, self.side)
        if down_over or across_over:
            pixels = photos.permute(0, 3, 1, 2).float()
            return nn.functional.adaptive_avg_pool2d(pixels, self.side).permute(0, 2, 3, 1)
        # whole blocks: exact sums, in a fifth of the time
        blocks = photos.to(torch.int32 if down * across > 128 else torch.int16)
        blocks = blocks.reshape(count, self.side, down, self.side, across, channels)
        rows = _sum([blocks[:, :, i] for i in range(down)])
        return _sum([rows[:, :, :, j] for j in range(across)]).float().div_(down * across)

    def _middle(self, photos: Tensor) -> Tensor:
        if not self.crop:
            return photos
        top, left = ((size - self.crop) // 2 for size in photos.shape[1:3])
        if min(top, left) < 0:
            raise too_large("crop", self.crop, photos.shape[1], photos.shape[2])
        return photos[:, top : top + self.crop, left : left + self.crop]


def _sum(parts: list[Tensor]) -> Tensor:
    return functools.reduce(torch.add, parts)


def too_large(setting: str, pixels: int, height: int, width: int) -> UserError:
    """Of a `train` setting that asks for more pixels to a side than there are."""
    return UserError(
        f"train.{setting} = {pixels} is larger than the photos ({height} x {width}); raise"
        " dataset.side"
    )


@functools.cache
def _channels(values: tuple[float, float, float], device: torch.device) -> Tensor:
    """[1, 3, 1, 1] on the scale of bytes; kept, because a GPU would wait for it at every batch."""
    return torch.tensor(values, device=device).view(1, 3, 1, 1) * 255


@torch.no_grad()
def logits_of(
    network: nn.Module,
    photos: Photos,
    preprocess: Preprocess,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> Floats:
    """float32 [n, c] of photos [n, h, w, 3], in eval mode; the network's mode is restored.

    `dtype` is what the network computes in. Each process computes its share of the rows, and all
    get all of them.
    """
    was_training = network.training
    rows = distributed.share().rows(len(photos))

    def work(pixels: Tensor) -> Tensor:
        batch = preprocess(pixels)
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            logits: Tensor = network(batch).float()
            return logits

    network.eval()
    try:
        found = _of_rows(work, photos, range(rows.start, rows.stop, CHUNK), rows.stop, device)
    finally:
        network.train(was_training)
    return np.asarray(distributed.gather(found, len(photos)))


def _of_rows(
    work: Callable[[Tensor], Tensor],
    photos: Photos,
    starts: range,
    stop: int,
    device: torch.device,
) -> Floats:
    """float32 [n, d] of `work` on photos that are read from each of `starts` on, before `stop`.

    Results stay on the device, so that it need not wait for each download. Where memory runs out,
    fewer photos go through it at once.
    """
    compute = InParts(work, TOO_SMALL)
    kept: list[Tensor] = []
    found: list[Floats] = []
    for pixels in _uploaded(photos, starts, stop, device):
        kept += compute(pixels)
        if sum(part.nbytes for part in kept) >= KEPT_BYTES:
            found.append(torch.cat(kept).cpu().numpy())
            kept = []
    if kept:
        found.append(torch.cat(kept).cpu().numpy())
    return np.concatenate(found)


def _uploaded(photos: Photos, starts: range, stop: int, device: torch.device) -> Iterator[Tensor]:
    """Photos on the device; those for a GPU are read ahead, and it does not wait for a copy."""

    def read() -> Iterator[Tensor]:
        for start in starts:
            pixels = torch.from_numpy(np.array(photos[start : min(start + starts.step, stop)]))
            yield pixels.pin_memory() if device.type == "cuda" else pixels

    made = prefetched(read()) if device.type == "cuda" else read()
    for pixels in made:
        yield pixels.to(device, non_blocking=True)


@torch.no_grad()
def embedded(trunk: nn.Module, photos: Photos, preprocess: Preprocess, chunk: int) -> Floats:
    """float32 features [n, d] of photos [n, h, w, 3], in eval mode."""
    device = distributed.device()
    trunk.to(device).eval()
    starts = range(0, len(photos), chunk)
    return _of_rows(
        lambda pixels: trunk(preprocess(pixels)).float(), photos, starts, len(photos), device
    )


def predict(
    network: nn.Module,
    splits: Mapping[str, Split],
    preprocess: Preprocess,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    known: Mapping[str, Floats | None] | None = None,
) -> dict[str, Any]:
    """`<split>/logits` float32 [n, c], `<split>/labels` int64 [n] and `<split>/ids` of every split.

    Where a split has several groups, `<split>/groups` [n] too. `known` are logits [n, c] of splits
    that this network was asked for before. Raises UserError where logits are not finite.
    """
    saved: dict[str, Any] = {}
    for name, split in splits.items():
        logits = (known or {}).get(name)
        if logits is None:
            logits = logits_of(network, split.pixels, preprocess, device, dtype)
        if not np.isfinite(logits).all():
            raise UserError(
                f"the network gives logits that are not finite on {name}; lower train.lr"
            )
        saved[f"{name}/logits"] = logits
        saved[f"{name}/labels"] = split.labels
        saved[f"{name}/ids"] = split.ids
        if has_several_groups(split.groups):
            saved[f"{name}/groups"] = split.groups
    return saved
