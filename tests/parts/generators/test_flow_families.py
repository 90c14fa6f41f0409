"""The generator on checkpoints of flow matching, against diffusers' own pipelines."""

import json
import shutil
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
from discl.core.levels import denoising_steps
from discl.core.registry import bind
from discl.parts.generators.base.descent import Grid
from discl.parts.generators.base.families import FAMILIES, REFUSED
from discl.parts.generators.base.grids import grid_of_folder
from discl.parts.generators.base.rehearsal import check, rehearsed
from discl.parts.generators.img2img import Img2Img
from discl.testing import flow_checkpoints, untrained

TOLERANCE = 2  # pixels of 255
STEPS = 5
PHOTOS = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
CAT = "a photo of a cat"
LONG = "a photo of a dog that walks through tall grass by night, seen by a camera from the side"
PROMPTS = (CAT, LONG)
GUIDANCE = {"flux_schnell": 1.0}  # of others 4
# what diffusers calls our text_guidance of 4
CALLS: dict[str, dict[str, Any]] = {
    "qwen_image": {"true_cfg_scale": 4.0, "negative_prompt": ""},
    "z_image": {"guidance_scale": 3.0},
}
SLOW = pytest.mark.slow(reason="every family is compared with diffusers; the loop is one for all")


def _some(*quick: str) -> list[Any]:
    """All kinds, of which the others are slow."""
    kinds = flow_checkpoints.BUILDERS
    return [kind if kind in quick else pytest.param(kind, marks=SLOW) for kind in kinds]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """By kind, the folder of a checkpoint that is written on first use."""
    return cache(lambda kind: flow_checkpoints.write(kind, tmp_path_factory.mktemp(kind)))


def _generator(checkpoint: Path, kind: str, **given: Any) -> Any:
    plain = {"steps": STEPS, "text_guidance": GUIDANCE.get(kind, 4.0), "chunk": 2, "device": "cpu"}
    return bind("generators", "img2img", {"checkpoint": str(checkpoint)} | plain | given).build()


def _requests() -> list[Request]:
    return [Request(level, PROMPTS[i % 2], 100 + i) for i, level in enumerate((50, 0, 90))]


def _strength(level: int) -> float:
    """With which diffusers begins at int(steps - steps * strength)."""
    taken = denoising_steps(level, STEPS)
    return 1.0 if taken == STEPS else (taken - 0.5) / STEPS


@cache
def _pipeline(folder: Path) -> Any:
    name = json.loads((folder / "model_index.json").read_text("utf-8"))["_class_name"]
    loaded = getattr(diffusers, FAMILIES[name].pipeline_class).from_pretrained(str(folder))
    loaded.set_progress_bar_config(disable=True)
    return loaded


def _expected(folder: Path, kind: str, request: Request, photo: Photos, side: int = 64) -> Photos:
    """By diffusers' own pipeline, one image a call."""
    image = _pipeline(folder)(
        prompt=request.prompt,
        image=Image.fromarray(photo),
        strength=_strength(request.level),
        num_inference_steps=STEPS,
        height=side,
        width=side,
        generator=torch.Generator().manual_seed(request.seed),
        output_type="np",
        **CALLS.get(kind, {"guidance_scale": GUIDANCE.get(kind, 4.0)}),
    ).images[0]
    return (image * 255).round().astype(np.uint8)  # type: ignore[no-any-return]


def _apart(one: Photos, other: Photos) -> int:
    return int(np.abs(one.astype(int) - other).max())


@pytest.mark.parametrize("kind", flow_checkpoints.BUILDERS)
def test_images_of_all_levels_are_those_of_diffusers_pipelines(kind: str, folders: Any) -> None:
    requests = _requests()
    images = _generator(folders(kind), kind).make(requests, PHOTOS).images
    for request, photo, image in zip(requests, PHOTOS, images, strict=True):
        assert _apart(image, _expected(folders(kind), kind, request, photo)) <= TOLERANCE
    assert np.isin(images, (0, 255)).mean() < 0.1


@pytest.mark.parametrize("kind", _some("qwen_image"))
def test_the_comparison_would_notice_another_prompt_guidance_or_grid(
    kind: str, folders: Any
) -> None:
    def image(prompt: str = CAT, steps: int = STEPS, **given: Any) -> Photos:
        generator = _generator(folders(kind), kind, steps=steps, **given)
        return generator.make([Request(50, prompt, 0)], PHOTOS[:1]).images  # type: ignore[no-any-return]

    plain = image()
    others = [image("a photo of a dog"), image(steps=STEPS + 1)]
    if kind not in GUIDANCE:
        others.append(image(text_guidance=8.0))
    assert all(_apart(plain, other) > TOLERANCE for other in others)


# whose prompts have one length, and whose have not
@pytest.mark.parametrize("kind", _some("sd3", "z_image"))
def test_order_company_and_batch_change_no_byte_of_a_flow(kind: str, folders: Any) -> None:
    requests = _requests()
    generator = _generator(folders(kind), kind)
    together = generator.make(requests, PHOTOS).images
    assert np.array_equal(together[::-1], generator.make(requests[::-1], PHOTOS[::-1]).images)
    alone = [
        generator.make([request], PHOTOS[i : i + 1]).images for i, request in enumerate(requests)
    ]
    assert np.array_equal(together, np.concatenate(alone))
    for chunk in (1, 7):
        other = _generator(folders(kind), kind, chunk=chunk)
        assert _apart(together, other.make(requests, PHOTOS).images) <= TOLERANCE


@pytest.mark.parametrize("kind", ["flux_dev", pytest.param("sd3", marks=SLOW)])
def test_sides_are_cut_down_to_pairs_of_latents(kind: str, folders: Any) -> None:
    photo = np.random.default_rng(1).integers(0, 256, (1, 40, 40, 3), dtype=np.uint8)
    request = Request(80, CAT, 3)
    images = _generator(folders(kind), kind).make([request], photo).images
    assert images.shape == (1, 32, 32, 3)
    assert _apart(images[0], _expected(folders(kind), kind, request, photo[0], 32)) <= TOLERANCE
    with pytest.raises(UserError, match="at least 16x16 pixels, got 64x15"):
        _generator(folders(kind), kind).make([request], PHOTOS[:1, :15])


def test_an_image_that_a_denoiser_has_no_places_for_is_refused(folders: Any) -> None:
    generator = _generator(folders("sd3"), "sd3")
    photos = np.zeros((1, 16, 528, 3), np.uint8)
    with pytest.raises(UserError, match="512 pixels a side, got 528x16; set a smaller"):
        generator.make([Request(80, CAT, 0)], photos)


def test_level_0_of_a_flow_shows_nothing_of_the_photo(folders: Any) -> None:
    given = {"level_0": "photo_trace", "text_guidance": 1.0}
    generator = _generator(folders("sd3"), "sd3", **given)
    one, other = generator.make([Request(0, CAT, 7)] * 2, PHOTOS[:2]).images
    assert np.array_equal(one, other)


def test_a_second_order_scheduler_begins_where_diffusers_does(folders: Any) -> None:
    heun = "FlowMatchHeunDiscreteScheduler"
    requests = _requests()[::2]
    images = _generator(folders("sd3"), "sd3", scheduler=heun).make(requests, PHOTOS[::2]).images
    pipeline = _pipeline(folders("sd3"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "scheduler", getattr(diffusers, heun)(shift=3.0))
        for request, photo, image in zip(requests, PHOTOS[::2], images, strict=True):
            assert _apart(image, _expected(folders("sd3"), "sd3", request, photo)) <= TOLERANCE


@SLOW
def test_half_precision_of_a_flow_gives_nearly_the_same_picture(folders: Any) -> None:
    exact, rough = (
        _generator(folders("z_image"), "z_image", dtype=name)
        .make([Request(50, CAT, 1)], PHOTOS[:1])
        .images
        for name in ("float32", "bfloat16")
    )
    assert 0 < np.abs(exact.astype(int) - rough).mean() < 8


# ---------------------------------------------------------------- where levels begin

DEV = {"shift": 3.0, "use_dynamic_shifting": True}
QWEN = {
    "use_dynamic_shifting": True,
    "max_shift": 0.9,
    "max_image_seq_len": 8192,
    "shift_terminal": 0.02,
}
# start sigmas of 9, 14 and 26 of 28 steps at 512x512 and 1024x1024 pixels, as seen in diffusers
# 0.42.1's own calls
STARTS = [
    ("StableDiffusion3Pipeline", {"shift": 3.0}, [(0.56063, 0.73706, 0.97411)] * 2),
    ("FluxPipeline", DEV, [(0.47073, 0.65249, 0.96064), (0.59936, 0.75951, 0.97622)]),
    ("FluxPipeline", {"shift": 1.0}, [(0.32143, 0.5, 0.92857)] * 2),
    ("QwenImagePipeline", QWEN, [(0.42477, 0.61596, 0.95523), (0.45957, 0.64922, 0.96103)]),
    ("ZImagePipeline", {"shift": 3.0}, [(0.58696, 0.75, 0.975)] * 2),
]


@pytest.mark.parametrize(("name", "settings", "expected"), STARTS)
def test_levels_begin_at_the_noise_that_diffusers_begins_at(
    name: str, settings: dict[str, Any], expected: Any
) -> None:
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(**settings)
    for side, sigmas in zip((512, 1024), expected, strict=True):
        options = FAMILIES[name].grid_options(scheduler.config, 28, (side // 16) ** 2)
        grid = Grid(scheduler, 28, options)
        starts = [float(grid.places[grid.begin(steps)]) / 1000 for steps in (9, 14, 26)]
        assert starts == pytest.approx(sigmas, abs=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {"shift": 3.0},
        {"use_karras_sigmas": True},
        {"stochastic_sampling": True},
        {**QWEN, "time_shift_type": "linear"},
    ],
)
def test_a_grid_of_flow_passes_its_rehearsal_with_any_spacing(settings: dict[str, Any]) -> None:
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(**settings)
    for name in ("StableDiffusion3Pipeline", "FluxPipeline"):
        for steps in (4, 28):
            options = FAMILIES[name].grid_options(scheduler.config, steps, 1024)
            grid = Grid(scheduler, steps, options)
            check(grid)
            assert rehearsed(grid, 0, text_only=True).off < 1e-5


def test_a_grid_that_goes_from_photo_to_noise_fails_its_rehearsal() -> None:
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(invert_sigmas=True)
    with pytest.raises(UserError, match="12 of 12 steps before the end: .*not finite"):
        check(Grid(scheduler, 12))


@SLOW
def test_noise_of_each_step_is_an_images_own(folders: Any, tmp_path: Path) -> None:
    folder = shutil.copytree(folders("sd3"), tmp_path / "sd3")
    stochastic = {"shift": 3.0, "stochastic_sampling": True}
    _with_scheduler(folder, diffusers.FlowMatchEulerDiscreteScheduler(**stochastic))
    requests = _requests()
    generator = _generator(folder, "sd3")
    together = generator.make(requests, PHOTOS).images
    assert np.array_equal(together[::-1], generator.make(requests[::-1], PHOTOS[::-1]).images)
    plain = _generator(folders("sd3"), "sd3").make(requests, PHOTOS).images
    assert _apart(together, plain) > TOLERANCE


def test_the_grid_of_a_size_is_known_without_weights(folders: Any) -> None:
    generator = _generator(folders("flux_dev"), "flux_dev")
    generator.make([Request(90, CAT, 0)], PHOTOS[:1])
    small, large = (
        grid_of_folder(folders("flux_dev"), "dev", STEPS, size=(side, side)) for side in (64, 1024)
    )
    assert torch.equal(small.places, generator.trajectory.grid.places)
    assert float(large.places[2]) > float(small.places[2])
    usual = grid_of_folder(folders("flux_dev"), "dev", STEPS)
    assert torch.equal(usual.places, large.places)


# ---------------------------------------------------------------- what is refused


def _says(checkpoint: Path, match: str, **given: Any) -> None:
    generator = bind("generators", "img2img", {"checkpoint": str(checkpoint), **given}).build()
    with pytest.raises(UserError, match=match):
        generator.make([Request(50, CAT, 0)], PHOTOS[:1])


@pytest.mark.parametrize(
    ("scheduler", "says"),
    [
        ("DDIMScheduler", "is not for flow models"),
        ("UniPCMultistepScheduler", "is not for flow models"),
        ("FlowMatchHeunDiscreteScheduler", "makes its grid by itself"),
    ],
)
def test_a_scheduler_that_a_family_of_flow_cannot_use_is_named(
    scheduler: str, says: str, folders: Any
) -> None:
    way_out = "set generator.scheduler = 'FlowMatchEulerDiscreteScheduler'"
    _says(folders("flux_dev"), f"'{scheduler}': it {says}.*{way_out}", scheduler=scheduler)


def _with_scheduler(folder: Path, scheduler: Any) -> Path:
    scheduler.save_pretrained(folder / "scheduler")
    index = json.loads((folder / "model_index.json").read_text("utf-8"))
    index["scheduler"] = ["diffusers", type(scheduler).__name__]
    (folder / "model_index.json").write_text(json.dumps(index), "utf-8")
    return folder


def test_a_checkpoints_scheduler_of_another_kind_is_named(folders: Any, tmp_path: Path) -> None:
    flow = diffusers.FlowMatchEulerDiscreteScheduler()
    sd = _with_scheduler(untrained.write("sd", tmp_path / "sd"), flow)
    _says(sd, "its FlowMatchEulerDiscreteScheduler is for flow models.*set generator.scheduler")
    _says(sd, "'FlowMatchEulerDiscreteScheduler': it is for flow", scheduler=type(flow).__name__)
    sd3 = shutil.copytree(folders("sd3"), tmp_path / "sd3")
    _says(_with_scheduler(sd3, diffusers.UniPCMultistepScheduler()), "its UniPC.*is not for flow")


@pytest.mark.parametrize(
    ("kind", "given", "says"),
    [
        ("flux_dev", {"negative_prompt": "dog"}, "negative_prompt = 'dog': .*leave it empty"),
        ("flux_dev", {"guidance_rescale": 0.5}, "nothing to rescale"),
        ("flux_schnell", {"text_guidance": 1.5}, "takes no guidance; set it to 1"),
        ("qwen_image", {"guidance_rescale": 0.5}, "leave it at 0"),
    ],
)
def test_a_setting_that_has_no_effect_on_a_family_is_named(
    kind: str, given: dict[str, Any], says: str, folders: Any
) -> None:
    _says(folders(kind), says, **{"text_guidance": 4.0, **given})


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("FluxKontextPipeline", "set generator.name = 'edit'"),
        ("SanaPipeline", "diffusers has no image-to-image pipeline"),
        ("Kandinsky3Pipeline", "set generator.name = 'pipeline'"),
    ],
)
def test_a_family_that_is_driven_otherwise_is_told_how(
    name: str, says: str, tmp_path: Path
) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": name}), "utf-8")
    _says(tmp_path, f"holds {name}, which .*{says}")


def test_families_are_classes_of_diffusers_and_either_driven_or_refused() -> None:
    assert not set(FAMILIES) & set(REFUSED)
    known = set(dir(diffusers))  # to ask for a class would import it
    assert {*FAMILIES, *REFUSED, *(each.pipeline_class for each in FAMILIES.values())} <= known
    assert all(family.__doc__ for family in FAMILIES.values())


# ---------------------------------------------------------------- what a folder says


@pytest.mark.parametrize(
    ("kind", "size", "most"),
    [
        ("sd3", (64, 64), 256),
        ("flux_dev", (1024, 1024), 512),
        ("qwen_image", (1024, 1024), 512),
        ("z_image", (1024, 1024), 509),
        ("chroma", (1024, 1024), 512),
    ],
)
def test_sizes_and_texts_of_a_family_are_known_without_its_weights(
    kind: str, size: tuple[int, int], most: int, folders: Any
) -> None:
    part = Img2Img(str(folders(kind)))
    assert part.photo_size == size
    assert part.texts_read([CAT]) is None
    long = "cat " * 200
    read = part.texts_read([CAT, long])
    assert read is not None
    assert (read.most, read.cut) == (most, (False, True))
    assert "family" not in vars(part)
    held = sum(path.stat().st_size for path in folders(kind).glob("*/*.safetensors"))
    assert part.weight_bytes == pytest.approx(held, rel=0.2)
