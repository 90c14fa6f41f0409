"""The generator that repaints a part of the photo, against diffusers' own inpainting pipeline."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from discl.core.errors import UserError
from discl.core.interfaces import Box, Photos, Request
from discl.core.levels import denoising_steps, strength
from discl.core.registry import bind, settings
from discl.parts.generators.base.inpainting.box_masks import objects_mask
from discl.testing import flow_checkpoints, untrained

TOLERANCE = 2  # pixels of 255, as in test_img2img.py
STEPS = 10
FEW = 4  # where images are compared with others of the same
PHOTOS = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
CAT, DOG = "a photo of a cat", "a photo of a dog"
# in eighths of the photo, as latents of 64 pixels are: whole places, a part of one, at the edge
BOXES: tuple[Box, ...] = ((0.25, 0.25, 0.5, 0.375), (0.3, 0.05, 0.1, 0.8), (0.75, 0.5, 0.25, 0.5))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """By kind, the folder of a checkpoint that is written on first use."""

    @cache
    def written(kind: str) -> Path:
        folder = untrained.write(kind, tmp_path_factory.mktemp(kind))
        if kind == "sdxl":
            # diffusers' inpainting of SDXL standardises latents where it decodes, not where it
            # encodes, so where an autoencoder states moments it does not give the photo back
            path = folder / "vae" / "config.json"
            config = json.loads(path.read_text())
            path.write_text(json.dumps({**config, "latents_mean": None, "latents_std": None}))
        return folder

    return written


def _generator(checkpoint: Path | str = "", **parameters: Any) -> Any:
    """By default with the embedded checkpoint, whose autoencoder sees each place apart."""
    chosen: dict[str, Any] = {"steps": FEW}
    if checkpoint:
        chosen = {"steps": STEPS, "checkpoint": str(checkpoint), "text_guidance": 4.0}
    given = {"chunk": 2, **chosen, **parameters}
    return bind("generators", "inpaint", given).build()


def _requests(boxes: tuple[Box, ...] | None = BOXES) -> list[Request]:
    return [
        Request(level, (CAT, DOG)[i % 2], 100 + i, (boxes[i],) if boxes else ())
        for i, level in enumerate((50, 0, 90))
    ]


def _shown(repainted: Any) -> Image.Image:
    """The mask of places [8, 8] as a picture of 64 pixels, white where it is repainted."""
    return Image.fromarray((255 * repainted).astype(np.uint8).repeat(8, 0).repeat(8, 1))


def _apart(one: Photos, other: Photos) -> int:
    return int(np.abs(one.astype(int) - other).max())


# ---------------------------------------------------------------- the same images as diffusers


@pytest.mark.parametrize(
    ("kind", "scheduler", "keep"),
    [
        ("sd", "", "object"),
        ("sd", "EulerAncestralDiscreteScheduler", "background"),  # draws noise at each step
        *(
            pytest.param(
                kind,
                name,
                "object",
                marks=pytest.mark.slow(reason="two cases show the blending and the order of draws"),
            )
            for kind, name in (
                ("sdxl", ""),
                ("sd", "DDIMScheduler"),
                ("sd", "DPMSolverMultistepScheduler"),
                ("sd", "HeunDiscreteScheduler"),
            )
        ),
    ],
)
def test_images_are_those_of_diffusers_inpainting_pipeline(
    kind: str, scheduler: str, keep: str, folders: Any
) -> None:
    pipeline = diffusers.AutoPipelineForInpainting.from_pretrained(str(folders(kind)))
    pipeline.set_progress_bar_config(disable=True)
    if scheduler:
        pipeline.scheduler = getattr(diffusers, scheduler).from_config(
            pipeline.scheduler.config, clip_sample=False
        )
    generator = _generator(folders(kind), scheduler=scheduler, keep=keep)
    requests = _requests()
    images = generator.make(requests, PHOTOS).images
    for request, photo, image in zip(requests, PHOTOS, images, strict=True):
        objects = objects_mask(request.boxes, (8, 8))
        repainted = 1 - objects if keep == "object" else objects
        expected = pipeline(
            prompt=request.prompt,
            image=Image.fromarray(photo),
            mask_image=_shown(repainted),
            height=64,
            width=64,
            strength=strength(request.level, STEPS),
            num_inference_steps=STEPS,
            guidance_scale=4.0,
            generator=torch.Generator().manual_seed(request.seed),
            output_type="np",
        ).images[0]
        assert _apart(image, (expected * 255).round()) <= TOLERANCE
        assert 0 < repainted.mean() < 1


@pytest.mark.slow(reason="the loop is one for all; a quick test compares what it holds")
@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("flux_dev", {"guidance_scale": 4.0}),
        ("qwen_image", {"true_cfg_scale": 4.0, "negative_prompt": ""}),
        ("z_image", {"guidance_scale": 3.0}),
    ],
)
def test_so_are_those_of_flow_matching(kind: str, given: dict[str, Any], tmp_path: Path) -> None:
    """Stable Diffusion 3's and Chroma's pipelines do not run on such small checkpoints."""
    flow_checkpoints.write(kind, tmp_path)
    pipeline = diffusers.AutoPipelineForInpainting.from_pretrained(str(tmp_path))
    pipeline.set_progress_bar_config(disable=True)
    requests = _requests()
    images = _generator(tmp_path, device="cpu").make(requests, PHOTOS).images
    for request, photo, image in zip(requests, PHOTOS, images, strict=True):
        repainted = 1 - objects_mask(request.boxes, (8, 8))
        taken = denoising_steps(request.level, STEPS)
        expected = pipeline(
            prompt=request.prompt,
            image=Image.fromarray(photo),
            mask_image=_shown(repainted),
            height=64,
            width=64,
            strength=1.0 if taken == STEPS else (taken - 0.5) / STEPS,
            num_inference_steps=STEPS,
            generator=torch.Generator().manual_seed(request.seed),
            output_type="np",
            **given,
        ).images[0]
        assert _apart(image, (expected * 255).round()) <= TOLERANCE


@pytest.mark.slow(reason="the contract of generators has batches with boxes")
def test_batches_of_one_and_of_seven_make_the_same_images() -> None:
    requests = [
        Request(level, CAT, seed, (BOXES[seed % 3],)) for seed, level in enumerate((0, 30, 60, 70))
    ]
    photos = np.random.default_rng(1).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    together = _generator(chunk=7).make(requests, photos).images
    generator = _generator(chunk=7)
    alone = [
        generator.make([request], photos[i : i + 1]).images[0] for i, request in enumerate(requests)
    ]
    assert np.array_equal(together, alone)
    assert _apart(together, _generator(chunk=1).make(requests, photos).images) <= TOLERANCE


# ---------------------------------------------------------------- what is kept


def test_the_object_stays_and_the_scene_changes_or_the_reverse() -> None:
    photo = np.random.default_rng(2).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    box: Box = (0.25, 0.25, 0.5, 0.5)
    inside = np.zeros((32, 32), bool)
    inside[8:24, 8:24] = True
    for keep, kept in (("object", inside), ("background", ~inside)):
        generator = _generator(keep=keep)
        images = generator.make(
            [Request(level, CAT, 3, (box,)) for level in (0, 50, 70)], photo.repeat(3, 0)
        ).images
        for image in images[1:]:
            assert np.array_equal(image[kept], images[0][kept])
            assert not np.array_equal(image[~kept], images[0][~kept])
        # as well as the autoencoder can tell the photo
        codec = generator.family
        with torch.inference_mode():
            mean, _ = codec.encode(list(photo))
            told = (codec.decode(codec.scaled(mean)).clamp(-1, 1) + 1) * 127.5
        assert np.abs(told[0].permute(1, 2, 0).numpy() - images[0])[kept].max() <= 1


def test_a_central_object_needs_no_box() -> None:
    photo = np.random.default_rng(3).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    central = _generator(mask="centre", centre_share=0.5)
    assert not central.takes_boxes
    assert not central.needs_boxes
    boxed = _generator()
    assert np.array_equal(
        central.make([Request(40, CAT, 1)], photo).images,
        boxed.make([Request(40, CAT, 1, ((0.25, 0.25, 0.5, 0.5),))], photo).images,
    )


def test_a_photo_without_a_box_is_treated_by_the_rule_that_is_named() -> None:
    photos = np.random.default_rng(4).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    requests = [Request(50, CAT, 1, (BOXES[0],)), Request(50, DOG, 2)]
    with pytest.raises(UserError, match=r'1 of 2 photos .*without_box = "whole"'):
        _generator().make(requests, photos)
    whole = _generator(without_box="whole").make(requests, photos)
    plain = bind("generators", "img2img", {"steps": FEW, "chunk": 2}).build()
    assert np.array_equal(whole.images[1], plain.make(requests, photos).images[1])
    some = _generator(without_box="fail").make(requests, photos)
    assert some.failed == {1: "the photo has no box, and generator.without_box = 'fail'"}
    assert np.array_equal(some.images[0], whole.images[0])
    assert not some.images[1].any()
    none = _generator(without_box="fail").make(requests[1:], photos[1:])
    assert list(none.failed) == [0]


# ---------------------------------------------------------------- masks


def test_every_place_that_a_box_touches_belongs_to_the_object() -> None:
    mask = objects_mask([(0.25, 0.5, 0.3, 0.25)], (4, 8))
    assert mask.tolist() == [
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 1, 1, 1, 0, 0, 0],  # 2.0 .. 4.4 of 8 across
        [0, 0, 0, 0, 0, 0, 0, 0],
    ]
    # beyond the edge it is cut; one of no whole place has one; several are joined
    both = objects_mask([(-0.5, -0.5, 0.6, 0.6), (0.99, 0.99, 0.005, 0.005)], (4, 4))
    assert np.argwhere(both).tolist() == [[0, 0], [3, 3]]


def test_a_soft_edge_falls_off_around_the_box() -> None:
    mask = objects_mask([(0.0, 0.0, 0.25, 1.0)], (4, 4), soft=0.5)  # over two places
    assert mask[0].tolist() == [1, 0.5, 0, 0]
    corner = objects_mask([(0.0, 0.0, 0.25, 0.25)], (4, 4), soft=0.5)
    assert corner[1, 1] == pytest.approx(1 - np.sqrt(2) / 2)


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("box", "says"),
    [
        ((0.5, 0.5, 0.0, 0.2), r"box \(0.5, 0.5, 0, 0.2\) has no area"),
        ((0.5, 0.5, float("nan"), 0.2), "has no area"),
        ((1.2, 0.1, 0.3, 0.3), r"box \(1.2, 0.1, 0.3, 0.3\) lies outside the photo"),
        ((120, 80, 40, 60), "shares of it, from 0 to 1, not pixels"),
        ((0.1, -0.5, 0.3, 0.4), "lies outside"),
    ],
)
def test_a_box_that_is_none_is_refused(box: Box, says: str) -> None:
    photo = np.zeros((1, 32, 32, 3), np.uint8)
    with pytest.raises(UserError, match=says):
        _generator().make([Request(50, CAT, 1, (box,))], photo)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"keep": "animal"}, "keep"),
        ({"mask": "center"}, "centre"),
        ({"without_box": "skip"}, "without_box"),
        ({"centre_share": 1.0}, "centre_share = 1: it is a share of each side"),
        ({"soft": 1.5}, "soft = 1.5"),
        ({"steps": 0}, "generator.steps = 0"),  # of img2img
        ({"size": 64}, "size"),
        ({"keeps": "object"}, "did you mean 'keep'"),
    ],
)
def test_a_bad_setting_is_answered(given: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        bind("generators", "inpaint", given).build()


def test_the_settings_of_img2img_are_settings_of_it() -> None:
    ours = settings("generators", "inpaint")
    assert list(ours)[:2] == ["keep", "mask"]
    assert set(settings("generators", "img2img")) < set(ours)


def test_a_checkpoint_made_for_inpainting_is_refused(folders: Any, tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusionInpaintPipeline"}')
    for part, config in (("unet", {"in_channels": 9}), ("vae", {"latent_channels": 4})):
        (tmp_path / part).mkdir()
        (tmp_path / part / "config.json").write_text(json.dumps(config))
        (tmp_path / part / "model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match=r"made for inpainting: its denoiser takes 9 numbers"):
        _generator(tmp_path).make([Request(50, CAT, 0, (BOXES[0],))], PHOTOS[:1])


def test_what_is_kept_is_in_the_identity() -> None:
    ids = [
        bind("generators", "inpaint", given).identity()["parameters"]
        for given in ({}, {"keep": "background"}, {"soft": 0.1}, {"steps": 6})
    ]
    assert ids == [{}, {"keep": "background"}, {"soft": 0.1}, {"steps": 6}]
