"""The generator that edits by instructions, against single calls of diffusers' own pipelines."""

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
from discl.core.interfaces import Photos, Request
from discl.core.registry import bind
from discl.parts.generators.edit import Edit
from discl.testing import pipeline_checkpoints
from tests.pipeline_calls import BY_INSTRUCTION, SIDE

TOLERANCE = 2  # pixels of 255, between one image at a time and groups of them
STEPS = 4
PHOTOS = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
NIGHT, SNOW = "make it night", "put a lot of snow on the ground"
REQUESTS = [Request(level, (NIGHT, SNOW)[i % 2], 100 + i) for i, level in enumerate((50, 0, 50))]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """By kind, the folder of a checkpoint that is written on first use."""
    return cache(lambda kind: pipeline_checkpoints.write(kind, tmp_path_factory.mktemp(kind)))


def _generator(checkpoint: Path | str = "", **parameters: Any) -> Any:
    chosen = {"checkpoint": str(checkpoint)} if checkpoint else {}
    return bind("generators", "edit", {"steps": STEPS, **chosen, **parameters}).build()


def _apart(one: Photos, other: Photos) -> int:
    return int(np.abs(one.astype(int) - other).max())


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(
            kind,
            marks=()
            if kind in ("instruct_pix2pix", "kontext")
            else pytest.mark.slow(reason="one of each meaning of levels is compared"),
        )
        for kind in BY_INSTRUCTION
    ],
)
def test_images_are_those_of_single_calls_whatever_is_made_beside_them(
    kind: str, folders: Any
) -> None:
    call = BY_INSTRUCTION[kind]
    photos = np.kron(PHOTOS, np.ones((call.side // SIDE,) * 2 + (1,), np.uint8))
    requests = [each if call.axis else each._replace(level=0) for each in REQUESTS]
    requests, photos = requests[: call.images], photos[: call.images]
    pipeline = getattr(diffusers, call.name).from_pretrained(str(folders(kind)))
    pipeline.set_progress_bar_config(disable=True)
    chunks = (1, 7) if call.images > 1 else (1,)
    made = [
        _generator(folders(kind), steps=call.steps, arguments=call.arguments, chunk=chunk).make(
            requests, photos
        )
        for chunk in chunks
    ]
    assert not any(each.failed for each in made)
    for place, (request, photo) in enumerate(zip(requests, photos, strict=True)):
        answer = pipeline(
            prompt=request.prompt,
            image=Image.fromarray(photo),
            num_inference_steps=call.steps,
            generator=torch.Generator().manual_seed(request.seed),
            output_type="np",
            **call.of_level(request.level),
        )
        expected = (answer.images[0] * 255).round().astype(np.uint8)
        if len(expected) != call.side:  # answered at a size of its own
            small = Image.fromarray(expected).resize((call.side,) * 2, Image.Resampling.LANCZOS)
            expected = np.asarray(small)
        assert all(_apart(each.images[place], expected) <= TOLERANCE for each in made)


def test_the_comparison_would_notice(folders: Any) -> None:
    def image(prompt: str = NIGHT, level: int = 50, **parameters: Any) -> Photos:
        part = _generator(folders("instruct_pix2pix"), **parameters)
        return part.make([Request(level, prompt, 0)], PHOTOS[:1]).images  # type: ignore[no-any-return]

    plain = image()
    others = [
        image(SNOW),
        image(level=0),
        image(image_guidance=(1.0, 9.0)),
        image(text_guidance=3.0),
    ]
    assert all(_apart(plain, other) > TOLERANCE for other in others)


def test_order_and_neighbours_change_nothing_to_the_last_bit(folders: Any) -> None:
    part = _generator(folders("instruct_pix2pix"), chunk=2, steps=2)
    requests = [Request(level, NIGHT, level) for level in (0, 50, 50)]
    together = part.make(requests, PHOTOS).images
    backwards = part.make(requests[::-1], PHOTOS[::-1]).images[::-1]
    alone = part.make(requests[2:], PHOTOS[2:]).images
    assert np.array_equal(together, backwards)
    assert np.array_equal(together[2:], alone)


def test_the_weight_of_the_photo_rises_with_the_level_from_end_to_end() -> None:
    part = Edit(image_guidance=(1.0, 2.0))
    weights = [part.weight_of(level) for level in range(101)]
    assert weights == sorted(set(weights))
    assert (weights[0], weights[50], weights[100]) == (1.0, 1.5, 2.0)


def test_with_instructions_the_photo_is_seen_at_level_0(folders: Any) -> None:
    request, photos = Request(0, NIGHT, 3), PHOTOS[:2]
    images = _generator(folders("kontext")).make([request] * 2, photos).images
    assert not np.array_equal(images[0], images[1])


def test_a_checkpoint_without_instructions_edits_as_the_pipeline_of_its_own_does() -> None:
    request, photo = [Request(50, NIGHT, 3)], PHOTOS[:1]
    parts = (bind("generators", name, {"steps": STEPS}).build() for name in ("edit", "pipeline"))
    one, other = (part.make(request, photo).images for part in parts)
    assert np.array_equal(one, other)


def test_guidance_that_is_no_input_of_the_denoiser_is_taken_where_the_pipeline_guides(
    folders: Any,
) -> None:
    assert _generator(folders("flux2_klein"), text_guidance=2.0).calls.arguments == {
        "num_inference_steps": STEPS,
        "guidance_scale": 2.0,
    }


# ---------------------------------------------------------------- bad input


def _holding(tmp_path: Path, name: str) -> Path:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": name}))
    return tmp_path


def test_a_model_with_nothing_between_text_and_photo_makes_level_0_alone(tmp_path: Path) -> None:
    part = _generator(_holding(tmp_path, "Flux2Pipeline"))
    with pytest.raises(
        UserError, match=r"level 50: Flux2Pipeline has nothing .* as in levels = \[0\]"
    ):
        part.make([Request(50, NIGHT, 0)], PHOTOS[:1])
    assert part.chunk == 1


@pytest.mark.parametrize(
    "given", [(0.5, 2.0), (2.0, 1.0), (1.5, 1.5), (1.0, float("inf")), (1.0, float("nan"))]
)
def test_weights_of_the_photo_that_make_no_levels_are_refused(given: Any) -> None:
    with pytest.raises(UserError, match="two numbers from 1 up, the lower one first"):
        Edit(image_guidance=given)


def test_without_text_guidance_there_would_be_none_by_the_photo(tmp_path: Path) -> None:
    folder = _holding(tmp_path, "StableDiffusionInstructPix2PixPipeline")
    with pytest.raises(UserError, match="at 1 or less .* all levels would be one"):
        _generator(folder, text_guidance=1.0).identity()
    with pytest.raises(UserError, match="image_guidance_scale is set by the level"):
        _generator(folder, arguments={"image_guidance_scale": 1.5}).identity()


def test_a_weight_of_the_photo_that_a_class_does_not_take_is_refused() -> None:
    with pytest.raises(UserError, match="has no effect on StableDiffusionImg2ImgPipeline"):
        Edit(image_guidance=(1.0, 3.0)).identity()
    assert Edit(image_guidance=(1.0, 2.2)).identity() == Edit().identity()


def test_a_plan_says_what_levels_of_image_guidance_cost(tmp_path: Path) -> None:
    part = _generator(_holding(tmp_path, "StableDiffusionInstructPix2PixPipeline"), steps=20)
    assert any("from 1 to 2.2, and take all 20 steps each" in note for note in part.notes)


def test_the_class_that_edits_is_told_by_the_checkpoint(tmp_path: Path) -> None:
    for named, called in (
        ("FluxKontextPipeline", "FluxKontextInpaintPipeline"),
        ("QwenImageEditPipeline", "QwenImageEditInpaintPipeline"),
        ("Flux2KleinPipeline", "Flux2KleinInpaintPipeline"),
        ("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline"),
    ):
        assert _generator(_holding(tmp_path, named)).choice.kind.__name__ == called
