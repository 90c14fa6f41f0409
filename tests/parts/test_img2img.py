"""The generator on checkpoints in the formats of Stable Diffusion, SDXL, its refiner and LCM,
against diffusers' own pipelines.
"""

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
import torch._dynamo.testing
from PIL import Image

from discl.core.errors import UserError
from discl.core.interfaces import Photos, Request
from discl.core.levels import strength
from discl.core.registry import bind
from discl.parts.generators.base.schedulers import SCHEDULERS
from discl.parts.generators.img2img import Img2Img
from discl.testing import untrained

# pixels of 255, between one image at a time and groups of two: convolutions of another batch size
# differ in the last bits
TOLERANCE = 2
STEPS = 10
PHOTOS = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
CAT, DOG = "a photo of a cat", "a photo of a dog"
EMBEDDED = "pkg://discl/assets/cifar10_diffusion"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """By kind, the folder of a checkpoint that is written on first use."""
    return cache(lambda kind: untrained.write(kind, tmp_path_factory.mktemp(kind)))


@pytest.fixture
def checkpoint(folders: Any) -> Path:
    return folders("sd")  # type: ignore[no-any-return]


def _generator(checkpoint: Path | str, **parameters: Any) -> Any:
    return bind(
        "generators",
        "img2img",
        {
            "checkpoint": str(checkpoint),
            "steps": STEPS,
            "text_guidance": 4.0,
            "chunk": 2,
            **parameters,
        },
    ).build()


def _poisoned(generator: Any, *dtypes: torch.dtype) -> None:
    """From here on the first image of each group gets values that are not finite, where it is
    computed in one of `dtypes`.
    """

    def spoil(
        _module: Any, _inputs: Any, output: tuple[torch.Tensor, ...]
    ) -> tuple[torch.Tensor, ...]:
        if output[0].dtype in dtypes:
            output[0][0] = torch.nan
        return output

    generator.family.denoiser.register_forward_hook(spoil)


def _apart(one: Photos, other: Photos) -> int:
    return int(np.abs(one.astype(int) - other).max())


# ---------------------------------------------------------------- the same images as diffusers


@pytest.fixture(scope="module")
def reference(folders: Any) -> Any:
    """Calls diffusers' own pipeline for one image."""

    @cache
    def pipeline(kind: str) -> Any:
        loaded = diffusers.AutoPipelineForImage2Image.from_pretrained(str(folders(kind)))
        loaded.set_progress_bar_config(disable=True)
        return loaded, loaded.scheduler.config

    def call(
        kind: str, request: Request, photo: Image.Image, scheduler: str, grid: Any, guidance: float
    ) -> Photos:
        loaded, config = pipeline(kind)
        # diffusers clips latents to -1 .. 1 by DDIM's and DDPM's default where the checkpoint's own
        # scheduler, of another class, has no such setting
        loaded.scheduler = getattr(diffusers, scheduler or config["_class_name"]).from_config(
            config, clip_sample=False
        )
        # left to itself, diffusers gives latent consistency models another grid at each strength
        steps = (
            {"timesteps": grid.tolist(), "num_inference_steps": None}
            if kind == "lcm"
            else {"num_inference_steps": STEPS}
        )
        image = loaded(
            prompt=request.prompt,
            image=photo,
            strength=strength(request.level, STEPS),
            guidance_scale=guidance,
            output_type="np",
            generator=torch.Generator().manual_seed(request.seed),
            **steps,
        ).images[0]
        return (image * 255).round().astype(np.uint8)  # type: ignore[no-any-return]

    return call


# each kind with its own scheduler, of which lcm's draws noise at each step; one that takes several
# past steps, one that asks twice a step
QUICK = [
    ("sd", ""),
    ("sd", "DPMSolverMultistepScheduler"),
    ("sdxl", ""),
    ("sdxl", "HeunDiscreteScheduler"),
    ("refiner", ""),
    ("lcm", ""),
]
# these two begin elsewhere in diffusers: see test_schedulers.py
BEGIN_ELSEWHERE = ("LMSDiscreteScheduler", "PNDMScheduler")
OFTEN_USED = (
    "DDIMScheduler",
    "DPMSolverMultistepScheduler",
    "HeunDiscreteScheduler",
    "EulerAncestralDiscreteScheduler",
)
CASES = [
    *QUICK,
    *(
        pytest.param(
            kind,
            name,
            marks=pytest.mark.slow(
                reason="the kind of checkpoint and the scheduler are apart, and each is compared"
            ),
        )
        for kind, schedulers in {
            "sd": SCHEDULERS,
            "sdxl": OFTEN_USED,
            "refiner": OFTEN_USED,
        }.items()
        for name in schedulers
        if name not in BEGIN_ELSEWHERE and (kind, name) not in QUICK
    ),
]


@pytest.mark.parametrize(("kind", "scheduler"), CASES)
def test_images_are_those_of_diffusers_pipelines(
    kind: str, scheduler: str, folders: Any, reference: Any
) -> None:
    generator = _generator(folders(kind), level_0="photo_trace", scheduler=scheduler)
    requests = [Request(level, (CAT, DOG)[i % 2], 100 + i) for i, level in enumerate((50, 0, 90))]
    photos = PHOTOS[[0, 1, 2]]
    images = generator.make(requests, photos).images
    for request, photo, image in zip(requests, photos, images, strict=True):
        grid = generator.trajectory.grid.places
        assert (
            _apart(image, reference(kind, request, Image.fromarray(photo), scheduler, grid, 4.0))
            <= TOLERANCE
        )


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(
            kind,
            marks=()
            if kind in ("sd", "refiner")
            else pytest.mark.slow(reason="two kinds show that the comparison is no empty one"),
        )
        for kind in untrained.BUILDERS
    ],
)
def test_the_comparison_with_diffusers_would_notice(kind: str, folders: Any) -> None:
    def image(prompt: str = CAT, **parameters: Any) -> Photos:
        return (
            _generator(folders(kind), **parameters)
            .make([Request(60, prompt, 0)], PHOTOS[:1])
            .images
        )  # type: ignore[no-any-return]

    plain, others = (
        image(),
        [image(DOG), image(text_guidance=5.0), image(scheduler="DPMSolverMultistepScheduler")],
    )
    if kind == "refiner":
        others += [image(aesthetic_score=3.0), image(negative_aesthetic_score=6.0)]
    assert all(_apart(plain, other) > TOLERANCE for other in others)
    assert np.isin(plain, (0, 255)).mean() < 0.05


@pytest.mark.parametrize(
    "kind",
    [
        "sd",
        pytest.param("sdxl", marks=pytest.mark.slow(reason="sdxl is compared at level 0 above")),
    ],
)
def test_level_0_is_text_to_image(kind: str, folders: Any) -> None:
    dice = torch.Generator().manual_seed(5)
    torch.randn(1, 4, 8, 8, generator=dice)  # what a level above 0 draws to encode its photo
    pipeline = diffusers.AutoPipelineForText2Image.from_pretrained(str(folders(kind)))
    pipeline.set_progress_bar_config(disable=True)
    expected = pipeline(
        CAT,
        num_inference_steps=STEPS,
        guidance_scale=4.0,
        latents=torch.randn(1, 4, 8, 8, generator=dice),
        output_type="np",
        height=64,
        width=64,
    ).images
    assert (
        _apart(
            _generator(folders(kind)).make([Request(0, CAT, 5)], PHOTOS[:1]).images,
            (expected * 255).round(),
        )
        <= TOLERANCE
    )


def test_without_guidance_the_denoiser_sees_each_image_once(
    checkpoint: Path, reference: Any
) -> None:
    generator, seen, request = _generator(checkpoint, text_guidance=1.0), set(), Request(50, CAT, 3)
    generator.family.denoiser.register_forward_pre_hook(lambda _, inputs: seen.add(len(inputs[0])))
    image = generator.make([request], PHOTOS[:1]).images[0]
    assert seen == {2}
    assert generator.counts["prompts"] == 1
    assert (
        _apart(image, reference("sd", request, Image.fromarray(PHOTOS[0]), "", None, 1.0))
        <= TOLERANCE
    )


def test_a_size_is_cut_down_as_diffusers_does(checkpoint: Path, reference: Any) -> None:
    photo = np.random.default_rng(1).integers(0, 256, (1, 75, 125, 3), dtype=np.uint8)
    request = Request(90, CAT, 0)
    images = _generator(checkpoint, size=(120, 70)).make([request], photo).images
    assert images.shape == (1, 64, 120, 3)
    small = Image.fromarray(photo[0]).resize((120, 70), Image.Resampling.LANCZOS)
    assert _apart(images[0], reference("sd", request, small, "", None, 4.0)) <= TOLERANCE
    with pytest.raises(UserError, match="at least 8x8 pixels, got 48x7"):
        _generator(checkpoint, size=(48, 7)).make([request], photo)


# ---------------------------------------------------------------- work


@pytest.mark.parametrize(
    ("levels", "expected"),
    [((70, 80, 90), 30), pytest.param((10, 30, 50), 105, marks=pytest.mark.slow)],
)
def test_an_image_costs_the_steps_of_its_level(
    checkpoint: Path, levels: tuple[int, ...], expected: int
) -> None:
    generator = _generator(checkpoint, steps=50, chunk=4)
    requests = [Request(level, (CAT, DOG)[photo], photo) for photo in range(2) for level in levels]
    generator.make(requests, PHOTOS[[request.seed for request in requests]])
    assert generator.counts["denoiser_images"] == 2 * expected
    assert generator.counts["encodes"] == 2
    assert generator.counts["decodes"] == len(requests)
    assert generator.counts["prompts"] == 3  # with the empty one
    # a loop over levels would leave a part of a group at each level: here there is at most one a
    # step
    assert generator.counts["denoiser_calls"] <= 2 * expected // 4 + 50


def test_a_prompt_is_embedded_once(checkpoint: Path) -> None:
    generator = _generator(checkpoint, negative_prompt=DOG)
    for _ in range(2):
        generator.make([Request(90, prompt, 0) for prompt in (CAT, DOG, CAT)], PHOTOS)
    assert generator.counts["prompts"] == 2


def test_prompts_are_forgotten_when_they_are_many(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from discl.parts.generators.base import prompt_table

    monkeypatch.setattr(prompt_table, "MAX_PROMPTS", 2)
    generator = _generator(checkpoint)
    generator.make([Request(90, prompt, 0) for prompt in (CAT, DOG, "cat")], PHOTOS)
    assert set(generator.trajectory.prompts.kept) == {"cat", ""}
    generator.make([Request(90, prompt, 0) for prompt in ("cat", CAT, CAT)], PHOTOS)
    assert generator.counts["prompts"] == 5


@pytest.mark.parametrize(
    "kind",
    [
        *(
            pytest.param(kind, marks=pytest.mark.slow(reason="lcm draws noise at each step too"))
            for kind in ("sd", "sdxl")
        ),
        "lcm",
    ],
)
def test_order_company_and_batch_change_no_byte(kind: str, folders: Any) -> None:
    requests = [Request(level, (CAT, DOG)[i % 2], i) for i, level in enumerate((0, 50, 90))]
    photos = PHOTOS
    generator = _generator(folders(kind))
    together = generator.make(requests, photos).images
    assert np.array_equal(together[::-1], generator.make(requests[::-1], photos[::-1]).images)
    other = _generator(folders(kind))
    alone = [other.make([request], photos[i : i + 1]).images for i, request in enumerate(requests)]
    assert np.array_equal(together, np.concatenate(alone))


WAYS: list[Any] = [
    pytest.param({"chunk": 1}, marks=pytest.mark.slow),
    {"chunk": 5, "device": "cpu"},
    {"channels_last": True},
    {"attention": "sliced"},
    {"fused_qkv": True, "rest_text": True, "channels_last": False},
]


@pytest.fixture(scope="module")
def plainly_made(folders: Any) -> tuple[dict[str, Any], list[Request], Photos]:
    """An identity, what it is asked for, and the images."""
    plain = bind("generators", "img2img", {**_at(folders("sd")), "chunk": 2})
    requests = [Request(level, CAT, level) for level in (0, 30, 80)]
    return plain.identity(), requests, plain.build().make(requests, PHOTOS).images


def _at(checkpoint: Path) -> dict[str, Any]:
    return {"checkpoint": str(checkpoint), "steps": STEPS}


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_how_the_work_is_done_is_no_part_of_the_identity(
    way: dict[str, Any],
    checkpoint: Path,
    plainly_made: tuple[dict[str, Any], list[Request], Photos],
) -> None:
    identity, requests, images = plainly_made
    other = bind("generators", "img2img", {**_at(checkpoint), **way})
    assert other.identity() == identity
    assert _apart(images, other.build().make(requests, PHOTOS).images) <= TOLERANCE


def test_the_blocks_of_a_denoiser_are_compiled_where_that_is_asked_for(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[str] = []
    monkeypatch.setattr(
        torch.nn.Module, "compile", lambda module: compiled.append(type(module).__name__)
    )
    assert _generator(checkpoint).family.denoiser
    assert not compiled  # on a CPU
    assert _generator(checkpoint, compile=True).family.denoiser
    assert set(compiled) == {"BasicTransformerBlock"}
    compiled.clear()
    assert _generator(EMBEDDED, compile=True).family.denoiser
    assert compiled


@pytest.mark.slow(reason="Dynamo traces for seconds; that blocks are compiled at all is quick")
def test_compiled_blocks_make_the_same_images_and_are_compiled_once_a_size(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = torch._dynamo.testing.CompileCounter()
    original = torch.nn.Module.compile
    monkeypatch.setattr(
        torch.nn.Module, "compile", lambda module: original(module, backend=counter)
    )
    requests = [Request(level, CAT, level) for level in (50, 80)]
    plain = _generator(checkpoint, chunk=4).make(requests, PHOTOS[:2]).images
    generator = _generator(checkpoint, chunk=4, compile=True)
    assert _apart(generator.make(requests, PHOTOS[:2]).images, plain) <= TOLERANCE
    once = counter.frame_count
    assert once > 0
    generator.make(requests[:1], PHOTOS[:1])  # another lease, filled up to the same groups
    assert counter.frame_count == once


def test_tiles_make_large_images_with_less_memory_and_are_refused_where_there_are_none(
    checkpoint: Path,
) -> None:
    assert _generator(checkpoint, tiling=True).family.vae.use_tiling
    embedded = _generator(EMBEDDED, tiling=True)
    with pytest.raises(UserError, match="PatchAutoencoder. cannot work in tiles; leave it false"):
        _ = embedded.family


def test_what_changes_pixels_is_part_of_the_identity() -> None:
    plain = bind("generators", "img2img", {}).identity()
    for given in (
        {"dtype": "bfloat16"},
        {"scheduler": "DDIMScheduler"},
        {"level_0": "photo_trace"},
        {"negative_prompt": "dog"},
        {"tiling": True},
    ):
        assert bind("generators", "img2img", given).identity() != plain


# ---------------------------------------------------------------- trouble


def test_a_group_that_does_not_fit_is_halved(checkpoint: Path) -> None:
    requests = [Request(level, CAT, level) for level in (0, 50, 80)]
    expected = _generator(checkpoint, chunk=8).make(requests, PHOTOS).images
    generator, tried = _generator(checkpoint, chunk=8), list[int]()

    def crowded(_module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        tried.append(len(inputs[0]))
        if len(inputs[0]) > 4:  # two images, each with and without its prompt
            raise torch.OutOfMemoryError("CUDA out of memory")

    generator.family.denoiser.register_forward_pre_hook(crowded)
    assert _apart(generator.make(requests, PHOTOS).images, expected) <= TOLERANCE
    assert tried[:3] == [16, 8, 4]
    assert set(tried[3:]) == {4}
    assert generator.counts["denoiser_images"] == 10 + 5 + 2


def test_an_image_that_never_fits_is_a_sentence(checkpoint: Path) -> None:
    generator = _generator(checkpoint)

    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    generator.family.vae.encoder.register_forward_pre_hook(full)
    with pytest.raises(UserError, match="not even one image at a time fits.*generator.size"):
        generator.make([Request(50, CAT, 0)], PHOTOS[:1])


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("sd", marks=pytest.mark.slow(reason="as sdxl, which has a text encoder more")),
        "sdxl",
    ],
)
def test_an_image_that_overflows_is_made_again_in_float32(kind: str, folders: Any) -> None:
    requests = [Request(50, CAT, seed) for seed in range(2)]
    clean = _generator(folders(kind), dtype="bfloat16").make(requests, PHOTOS[:2]).images
    generator = _generator(folders(kind), dtype="bfloat16")
    _poisoned(generator, torch.bfloat16)
    images, failed = generator.make(requests, PHOTOS[:2])
    assert not failed
    assert np.array_equal(images[1], clean[1])
    assert (
        0 < np.abs(images[0].astype(int) - clean[0]).mean() < 8
    )  # the same image, without bfloat16's noise
    assert generator.family.denoiser.dtype == torch.bfloat16
    assert generator.counts["decodes"] == 3


@pytest.mark.parametrize(
    ("dtype", "reason"), [("bfloat16", "not finite, in float32 too"), ("float32", "not finite")]
)
def test_an_image_that_overflows_in_float32_has_failed(
    dtype: str, reason: str, checkpoint: Path
) -> None:
    generator = _generator(checkpoint, dtype=dtype)
    _poisoned(generator, torch.bfloat16, torch.float32)
    images, failed = generator.make([Request(50, CAT, seed) for seed in range(2)], PHOTOS[:2])
    assert list(failed) == [0]
    assert failed[0].endswith(reason)
    assert not images[0].any()
    assert images[1].any()


def test_an_image_that_float32_has_no_memory_for_has_failed(checkpoint: Path) -> None:
    generator = _generator(checkpoint, dtype="bfloat16")
    _poisoned(generator, torch.bfloat16)

    def full(_module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        if inputs[0].dtype == torch.float32:
            raise torch.OutOfMemoryError("CUDA out of memory")

    generator.family.denoiser.register_forward_pre_hook(full)
    images, failed = generator.make([Request(50, CAT, seed) for seed in range(2)], PHOTOS[:2])
    assert list(failed) == [0]
    assert failed[0].endswith("and float32 does not fit into memory")
    assert not images[0].any()
    assert generator.family.denoiser.dtype == torch.bfloat16


def test_an_image_that_the_checkpoints_safety_checker_withholds_has_failed(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = _generator(checkpoint)
    monkeypatch.setattr(
        generator.family.pipeline, "run_safety_checker", lambda images, *_: (images, [False, True])
    )
    images, failed = generator.make([Request(90, CAT, seed) for seed in range(2)], PHOTOS[:2])
    assert failed == {1: "the checkpoint's safety checker withheld the image"}
    assert images[0].any()
    assert not images[1].any()


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(("level_0", "same"), [("noise", True), ("photo_trace", False)])
def test_level_0_shows_the_photo_only_where_it_is_asked_to(
    level_0: str, same: bool, checkpoint: Path
) -> None:
    generator = _generator(checkpoint, level_0=level_0)
    images = generator.make([Request(0, CAT, 7)] * 2, PHOTOS[:2]).images
    assert np.array_equal(images[0], images[1]) == same
    assert generator.counts["encodes"] == (0 if same else 2)


def test_text_only_level_0_begins_from_the_noise_of_the_levels_above(checkpoint: Path) -> None:
    generator = _generator(checkpoint, steps=50)
    requests, photos = [Request(0, CAT, 7), Request(10, CAT, 7)], PHOTOS[[0, 0]]
    zero, ten = (
        batch.latents for batch in generator.trajectory.start(requests, photos, (1, 4, 8, 8))
    )
    assert torch.corrcoef(torch.stack([zero.flatten(), ten.flatten()]))[0, 1] > 0.95


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        ("sd", "bfloat16"),
        pytest.param("sdxl", "bfloat16", marks=pytest.mark.slow),
        ("sdxl", "float16"),
    ],
)
def test_half_precision_gives_nearly_the_same_picture(kind: str, dtype: str, folders: Any) -> None:
    requests = [Request(50, CAT, 1)]
    exact, rough = (
        _generator(folders(kind), dtype=name).make(requests, PHOTOS[:1]).images
        for name in ("float32", dtype)
    )
    assert 0 < np.abs(exact.astype(int) - rough).mean() < 8


def test_a_level_without_a_step_is_refused(checkpoint: Path) -> None:
    with pytest.raises(UserError, match="level 99 leaves no denoising step"):
        _generator(checkpoint).make([Request(99, "a cat", 0)], PHOTOS[:1])


def test_a_grid_that_the_scheduler_does_not_have_is_refused(folders: Any) -> None:
    with pytest.raises(UserError, match="generator.steps = 60: LCMScheduler has no such grid"):
        _generator(folders("lcm"), steps=60).make([Request(50, CAT, 0)], PHOTOS[:1])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"steps": 0}, "generator.steps = 0: at least one"),
        ({"chunk": -1}, "generator.chunk = -1: at least one"),
        ({"level_0": "nosie"}, "no generator.level_0 called 'nosie'; did you mean 'noise'"),
        ({"scheduler": "DDIMSchedular"}, "did you mean 'DDIMScheduler'"),
        ({"dtype": "float8"}, "no generator.dtype called 'float8'"),
        ({"attention": "slices"}, "did you mean 'sliced'"),
        ({"text_guidance": -0.5}, "generator.text_guidance = -0.5"),
        ({"text_guidance": float("nan")}, "generator.text_guidance = nan"),
        ({"device": "gpu"}, "generator.device = 'gpu': it is 'auto', 'cpu'"),
        ({"size": 64}, "generator.size = 64: give width and height"),
        ({"size": (64, -8)}, "give width and height"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named_with_the_way_out(
    given: dict[str, Any], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        Img2Img(**given)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_device_that_is_not_there_is_named(checkpoint: Path) -> None:
    with pytest.raises(
        UserError,
        match=(
            r"generator.device = 'cuda:3': this machine offers 0 CUDA devices; use 'auto' or 'cpu'"
        ),
    ):
        _generator(checkpoint, device="cuda:3").make([Request(50, CAT, 0)], PHOTOS[:1])


# ---------------------------------------------------------------- checkpoints


@pytest.mark.parametrize(
    ("sample_size", "blocks", "size", "expected"),
    [
        (64, 4, None, (512, 512)),  # Stable Diffusion
        (128, 4, None, (1024, 1024)),  # SDXL and its refiner
        (8, 3, None, (32, 32)),
        ([33, 60], 4, None, (264, 480)),
        (64, None, None, (512, 512)),  # an autoencoder that does not say
        (None, 4, None, None),
        ("64", 4, None, None),
        (64, 4, (480, 264), (264, 480)),  # the benchmark's comes first
    ],
)
def test_photos_come_at_the_size_a_checkpoint_was_made_for(
    tmp_path: Path, sample_size: Any, blocks: Any, size: Any, expected: Any
) -> None:
    for part, config in (
        ("unet", {"sample_size": sample_size}),
        ("vae", {"block_out_channels": [1] * blocks} if blocks else {}),
    ):
        (tmp_path / part).mkdir()
        (tmp_path / part / "config.json").write_text(json.dumps(config))
    assert Img2Img(str(tmp_path), size=size).photo_size == expected


def test_a_checkpoint_without_a_readable_size_has_none(tmp_path: Path) -> None:
    assert Img2Img(str(tmp_path)).photo_size is None
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text("{")
    assert Img2Img(str(tmp_path)).photo_size is None


def test_the_identity_follows_the_weights(checkpoint: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(checkpoint, tmp_path / "copy")
    assert _generator(copy).identity() == _generator(checkpoint).identity()
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    assert _generator(copy).identity() != _generator(checkpoint).identity()


def test_half_precision_files_are_taken_where_there_is_nothing_else(
    checkpoint: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(checkpoint, tmp_path / "copy")
    for path in list(copy.glob("*/*.safetensors")):
        path.rename(path.with_suffix("").with_suffix(".fp16.safetensors"))
    request = [Request(50, CAT, 0)]
    assert np.array_equal(
        _generator(copy).make(request, PHOTOS[:1]).images,
        _generator(checkpoint).make(request, PHOTOS[:1]).images,
    )


@pytest.fixture
def refused(tmp_path: Path) -> Any:
    def says(match: str) -> None:
        with pytest.raises(UserError, match=match):
            _generator(tmp_path).make([Request(50, CAT, 0)], PHOTOS[:1])

    return says


def test_a_family_that_is_not_supported_is_named(refused: Any, tmp_path: Path) -> None:
    refused(
        "holds no model_index.json; generator 'img2img' drives StableDiffusionPipeline,"
        " .*StableDiffusionXLPipeline"
    )
    (tmp_path / "scheduler_config.json").write_text(json.dumps({"_class_name": "DDIMScheduler"}))
    refused("holds DDIMScheduler;")
    (tmp_path / "model_index.json").write_text("{}")
    refused("holds a model_index.json that names no class")
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "WanPipeline"}))
    refused("holds WanPipeline; .* LatentConsistencyModelPipeline")
    (tmp_path / "model_index.json").write_text("[")
    refused("model_index.json is no JSON object")


def test_a_folder_without_its_parts_is_named(refused: Any, tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(
        json.dumps({"_class_name": "StableDiffusionPipeline"})
    )
    refused("does not load as a diffusers pipeline")


def test_a_truncated_weight_file_is_named(checkpoint: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(checkpoint, tmp_path / "copy")
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match="does not load"):
        _generator(copy).make([Request(50, CAT, 0)], PHOTOS[:1])


def test_what_the_text_encoder_reads_of_prompts_is_known_without_its_weights(
    capsys: pytest.CaptureFixture[str],
) -> None:
    part = bind("generators", "img2img", {}).build()
    long = "a small nocturnal animal with long striped fur seen from the side"
    read = part.texts_read(["a cat", f"{long} in grass", f"{long} in snow"])
    assert read.most == 16
    assert read.cut == (False, True, True)
    assert read.tokens[0] != read.tokens[1] == read.tokens[2]
    assert len(read.tokens[1]) == 16
    assert "family" not in vars(part)
    assert "longer than" not in capsys.readouterr().err


def test_prompts_that_are_read_whole_load_no_tokenizer(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import transformers

    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError("loaded")

    part = bind("generators", "img2img", {}).build()
    with monkeypatch.context() as patch:
        patch.setattr(transformers.AutoTokenizer, "from_pretrained", refused)
        assert part.texts_read([CAT, "a photo of a giraffe"]) is None
        unlimited = shutil.copytree(checkpoint, tmp_path / "copy")
        config = unlimited / "tokenizer" / "tokenizer_config.json"
        config.write_text(json.dumps({"model_max_length": 77}))
        assert _generator(unlimited).texts_read(["a" * 74]) is None
        config.write_text("{}")
        with pytest.raises(AssertionError, match="loaded"):
            _generator(unlimited).texts_read([CAT])
