"""Calls of one of diffusers' pipelines: images of one level, in batches, a generator each."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from discl.core.errors import LONGEST_SHOWN, UserError, reason
from discl.core.interfaces import Generated, Photos, Request
from discl.core.progress import DENOISING, work
from discl.parts.generators.base.fixed_batches import FixedBatches
from discl.parts.generators.base.pipelines.arguments import takes
from discl.parts.generators.base.pipelines.chance import draws
from discl.parts.generators.base.pipelines.forms import STRENGTH, Form
from discl.parts.generators.base.pixels import FLAGGED, NOT_FINITE

_FACTOR = 8  # pixels a latent stands for, where a pipeline does not say
_AUTOENCODERS = ("vae", "movq")
_OF_AN_IMAGE = ("prompt", "image", "generator", "negative_prompt")


class _CallMade(NamedTuple):
    """What a call gave."""

    pixels: Photos  # [b, h, w, 3]
    finite: NDArray[np.bool_]  # [b]
    flagged: Sequence[bool]  # [b], by the checkpoint's safety checker


class PipelineCalls:
    """A loaded pipeline, called for images of any levels.

    `of_level` gives the arguments that a level stands for, `arguments` what else each call gets.
    Images of one level share a call, where all prompts come to one length; the others only those of
    one prompt, as the last bit depends on the length of the longest.
    """

    def __init__(
        self,
        pipeline: Any,
        form: Form,
        of_level: Callable[[int], Mapping[str, Any]],
        arguments: Mapping[str, Any],
        chunk: int,
        counts: dict[str, int],
    ) -> None:
        self.pipeline = pipeline
        self.form = form
        self.of_level = of_level
        self.arguments = arguments
        self.counts = counts
        self._batches = FixedBatches(1 if form.alone else chunk)
        self._takes = takes(type(pipeline))
        self._sides = _sides(pipeline, form)
        self._watch = _Watch(pipeline, counts)
        self._starts: dict[int, float] = {}  # level -> its first timestep

    @torch.inference_mode()
    def make(
        self, requests: Sequence[Request], photos: Photos, size: tuple[int, int] | None
    ) -> Generated:
        """Images of photos [b, h, w, 3], at `size` (width, height) or that of the photos.

        Sides are cut down to what the pipeline takes. Raises UserError where that leaves none,
        where it refuses the call, or answers with something else than was asked for.
        """
        width, height = size or (photos.shape[2], photos.shape[1])
        cut = (height - height % self._sides, width - width % self._sides)
        if 0 in cut:
            raise UserError(
                f"generator.size: {type(self.pipeline).__name__} needs photos of at least"
                f" {self._sides}x{self._sides} pixels, got {width}x{height}"
            )
        images = np.zeros((len(requests), *cut, 3), np.uint8)
        failed = dict[int, str]()
        for level, indices in self._groups(requests):
            group = [requests[i] for i in indices]
            pictures = [_picture(photos[i], cut) for i in indices]
            call = functools.partial(self._call, level, group, pictures, cut)
            for real, made in self._batches.run(len(indices), call):
                for row, place in enumerate(real):
                    reason = _reason(made, row)
                    if reason is None:
                        images[indices[place]] = made.pixels[row]
                    else:
                        failed[indices[place]] = reason
        return Generated(images, dict(sorted(failed.items())))

    def _groups(self, requests: Sequence[Request]) -> Iterator[tuple[int, list[int]]]:
        """(level, indices of requests) of those that may share a call."""
        groups = dict[tuple[int, str], list[int]]()
        for i, request in enumerate(requests):
            text = "" if self.form.fixed_text else request.prompt
            groups.setdefault((request.level, text), []).append(i)
        for (level, _), indices in sorted(groups.items()):
            yield level, indices

    def _call(
        self,
        level: int,
        requests: list[Request],
        pictures: list[Image.Image],
        cut: tuple[int, int],
        batch: list[int],
    ) -> _CallMade:
        given = self._given(level, [requests[i] for i in batch], [pictures[i] for i in batch], cut)
        with self._watch.during(real=len({*batch}), size=len(batch)):
            answer = self._answer(given)
        self.counts["calls"] += 1
        self._check_start(level)
        flags = getattr(answer, "nsfw_content_detected", None)
        flags = flags or getattr(answer, "nsfw_detected", None)
        pixels = np.asarray(answer.images)
        finite = np.isfinite(pixels).all((1, 2, 3)) & self._watch.decoded_finite(len(batch))
        shown = (np.nan_to_num(pixels) * 255).round().clip(0, 255).astype(np.uint8)
        return _CallMade(self._at(shown, len(batch), cut), finite, flags or [False] * len(batch))

    def _given(
        self,
        level: int,
        requests: list[Request],
        pictures: list[Image.Image],
        cut: tuple[int, int],
    ) -> dict[str, Any]:
        given = {**self.arguments, **self.form.arguments, **self.of_level(level)}
        given |= {
            "prompt": [request.prompt for request in requests],
            "image": pictures,
            "generator": [torch.Generator("cpu").manual_seed(each.seed) for each in requests],
        }
        if isinstance(given.get("negative_prompt"), str):
            given["negative_prompt"] = [given["negative_prompt"]] * len(requests)
        if self.form.alone:  # several pictures would be references of one image
            given |= {key: value[0] for key, value in given.items() if key in _OF_AN_IMAGE}
        if "height" in self._takes:  # left out, many take 1024x1024 whatever the picture
            given |= {"height": cut[0], "width": cut[1]}
        if "max_area" in self._takes:
            given["max_area"] = cut[0] * cut[1]
        if self.form.masked:
            given["mask_image"] = Image.new("L", (cut[1], cut[0]), 255)
        given["output_type"] = "np"
        return given

    def _answer(self, given: dict[str, Any]) -> Any:
        try:
            return self.pipeline(**given)
        except (ValueError, TypeError, AttributeError) as error:
            raise UserError(
                f"{type(self.pipeline).__name__} refuses the call"
                f" ({reason(error)[:LONGEST_SHOWN]}); change generator.size, generator.steps,"
                " generator.arguments or generator.pipeline_class"
            ) from error

    def _at(self, pixels: Photos, count: int, cut: tuple[int, int]) -> Photos:
        """Images [b, h, w, 3], checked to be as many and as large as was asked for."""
        if self.form.resizes and len(pixels) == count:
            return np.stack([np.asarray(_picture(image, cut)) for image in pixels])
        if pixels.shape != (count, *cut, 3):
            raise UserError(
                f"{type(self.pipeline).__name__} was asked for {count} images of"
                f" {cut[1]}x{cut[0]} and gave {' x '.join(map(str, pixels.shape))}; take another"
                " generator.size"
            )
        return pixels

    def _check_start(self, level: int) -> None:
        """Raises UserError where two levels begin at one timestep, so that they would be one."""
        start = self._watch.start
        if self.form.axis != STRENGTH or start is None:
            return
        for other, begun in self._starts.items():
            if (level > other and start >= begun) or (level < other and start <= begun):
                raise UserError(
                    f"levels {min(level, other)} and {max(level, other)} begin at timesteps"
                    f" {max(start, begun):g} and {min(start, begun):g} of"
                    f" {type(self.pipeline).__name__}, so they are no levels of one kind; raise"
                    " generator.steps or drop one"
                )
        self._starts[level] = start


class _Watch:
    """What happens within a call: steps of the scheduler, values not finite, chance of its own."""

    def __init__(self, pipeline: Any, counts: dict[str, int]) -> None:
        self.pipeline = pipeline
        self.counts = counts
        self.start: float | None = None  # the first timestep of the last call
        self._real = 0
        self._size = 0
        self._drawn = False
        self._finite: NDArray[np.bool_] | None = None
        scheduler = pipeline.scheduler
        scheduler.step = self._counted(scheduler.step)
        for name in _AUTOENCODERS:
            decoder = getattr(getattr(pipeline, name, None), "decoder", None)
            if isinstance(decoder, torch.nn.Module):
                decoder.register_forward_hook(self._decoded)

    def _counted(self, step: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(step)  # diffusers asks for its signature
        def counted(*given: Any, **named: Any) -> Any:
            if self.start is None:
                timestep = given[1] if len(given) > 1 else named["timestep"]
                self.start = float(torch.as_tensor(timestep).flatten()[0])
            self.counts["denoiser_calls"] += 1
            self.counts["denoiser_images"] += self._real
            work().done(DENOISING, self._real)
            answer, is_drawn = draws(step, *given, **named)
            self._drawn |= is_drawn
            return answer

        return counted

    def _decoded(self, _module: Any, _inputs: Any, output: Any) -> None:
        """What is infinite becomes white when it is cut to 0 .. 1, so it is looked at before."""
        if isinstance(output, torch.Tensor) and len(output) == self._size:
            finite = output.isfinite().flatten(1).all(1).cpu().numpy()
            self._finite = finite if self._finite is None else self._finite & finite

    def decoded_finite(self, count: int) -> NDArray[np.bool_]:
        """[b], whether the autoencoder's values of the last call are finite, where it was seen."""
        return np.ones(count, bool) if self._finite is None else self._finite

    @contextmanager
    def during(self, real: int, size: int) -> Iterator[None]:
        """A call of `size` images, of which `real` are no filling."""
        self.start, self._finite, self._real, self._size = None, None, real, size
        self._drawn = False
        yield
        if self._drawn:
            name = type(self.pipeline.scheduler).__name__
            raise UserError(
                f"{type(self.pipeline).__name__} with {name} draws chance of its own, so that an"
                " image would depend on those made before it; name another scheduler in the"
                " checkpoint's model_index.json, or set stochastic_sampling to false in its"
                " scheduler_config.json"
            )


def _reason(made: _CallMade, row: int) -> str | None:
    """Why an image failed; None = it did not."""
    if not made.finite[row]:
        return NOT_FINITE
    return FLAGGED if made.flagged[row] else None


def _sides(pipeline: Any, form: Form) -> int:
    """Pixels that sides are a multiple of."""
    if form.multiple:
        return form.multiple
    factor = int(getattr(pipeline, "vae_scale_factor", _FACTOR))
    patch = getattr(pipeline, "patch_size", 1)
    config = getattr(getattr(pipeline, "image_processor", None), "config", None)
    own = int(getattr(config, "vae_scale_factor", factor))
    return max(factor * (patch if isinstance(patch, int) else 1), own)


def _picture(photo: Photos, size: tuple[int, int]) -> Image.Image:
    """A photo [h, w, 3] at `size` (height, width)."""
    picture = Image.fromarray(photo)
    wanted = (size[1], size[0])
    return picture if picture.size == wanted else picture.resize(wanted, Image.Resampling.LANCZOS)
