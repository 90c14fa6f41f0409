"""The generator that calls diffusers' own pipelines, against single calls of them."""

import json
import threading
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from discl.config.load import load
from discl.core.errors import UserError
from discl.core.interfaces import Photos, Request
from discl.core.levels import denoising_steps
from discl.core.progress import DENOISING, PartOfWork, counting
from discl.core.registry import bind
from discl.harness.price.bank import bank_price
from discl.harness.price.checkpoints import UnknownWorkError
from discl.parts.generators.base.pipelines.strengths import strength_of
from discl.parts.generators.base.pixels import FLAGGED
from discl.parts.generators.pipeline import Pipeline
from discl.testing import pipeline_checkpoints, untrained_adapters
from tests.pipeline_calls import BY_STRENGTH, SIDE

TOLERANCE = 2  # pixels of 255, between one image at a time and groups of them
STEPS = 10
PHOTOS = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
CAT, DOG = "a photo of a cat", "a photo of a large dog"
REQUESTS = [Request(level, (CAT, DOG)[i % 2], 100 + i) for i, level in enumerate((50, 0, 50))]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """By kind, the folder of a checkpoint that is written on first use."""
    return cache(lambda kind: pipeline_checkpoints.write(kind, tmp_path_factory.mktemp(kind)))


def _generator(checkpoint: Path | str = "", **parameters: Any) -> Any:
    chosen = {"checkpoint": str(checkpoint)} if checkpoint else {}
    return bind("generators", "pipeline", {"steps": STEPS, **chosen, **parameters}).build()


def _apart(one: Photos, other: Photos) -> int:
    return int(np.abs(one.astype(int) - other).max())


# ---------------------------------------------------------------- the same images as diffusers

QUICK = ("flux_dev",)


# depth is estimated in float32, which autocast has no need of
@pytest.mark.filterwarnings("ignore:In CPU autocast")
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(
            kind,
            marks=()
            if kind in QUICK
            else pytest.mark.slow(reason="all go through one call, and one is compared"),
        )
        for kind in BY_STRENGTH
    ],
)
def test_images_are_those_of_single_calls_whatever_is_made_beside_them(
    kind: str, folders: Any
) -> None:
    call = BY_STRENGTH[kind]
    pipeline = getattr(diffusers, call.name).from_pretrained(str(folders(kind)))
    pipeline.set_progress_bar_config(disable=True)
    photos = np.kron(PHOTOS, np.ones((call.side // SIDE,) * 2 + (1,), np.uint8))
    alone, together = (
        _generator(folders(kind), steps=call.steps, arguments=call.arguments, chunk=chunk).make(
            REQUESTS, photos
        )
        for chunk in (1, 7)
    )
    assert not alone.failed
    for request, photo, *images in zip(
        REQUESTS, photos, alone.images, together.images, strict=True
    ):
        answer = pipeline(
            prompt=request.prompt,
            image=Image.fromarray(photo),
            num_inference_steps=call.steps,
            generator=torch.Generator().manual_seed(request.seed),
            output_type="np",
            **call.of_level(request.level),
        )
        expected = (answer.images[0] * 255).round().astype(np.uint8)
        assert np.isin(expected, (0, 255)).mean() < 0.5
        assert all(_apart(image, expected) <= TOLERANCE for image in images)


@pytest.mark.slow(reason="images are told apart by their prompts, which is all there is to it")
@pytest.mark.parametrize("kind", ["qwen_image", "z_image"])
def test_where_texts_have_lengths_of_their_own_neighbours_change_nothing_to_the_last_bit(
    kind: str, folders: Any
) -> None:
    part = _generator(folders(kind), steps=2, chunk=2)
    together = part.make(REQUESTS, PHOTOS).images
    alone = [part.make([REQUESTS[i]], PHOTOS[i : i + 1]).images[0] for i in range(len(REQUESTS))]
    assert np.array_equal(together, np.stack(alone))


def test_a_lora_is_that_of_img2img(folders: Any, tmp_path: Path) -> None:
    file = untrained_adapters.write_lora(folders("sd"), tmp_path / "lora.safetensors")
    settings = {"checkpoint": str(folders("sd")), "steps": 4, "text_guidance": 7.5, "chunk": 1}
    lora = {"lora": {"file": str(file)}}

    def image(name: str, **more: Any) -> Photos:
        part = bind("generators", name, {**settings, **more}).build()
        return part.make(REQUESTS[:1], PHOTOS[:1]).images  # type: ignore[no-any-return]

    with_lora = image("pipeline", **lora)
    assert _apart(with_lora, image("img2img", **lora)) <= TOLERANCE
    assert _apart(with_lora, image("pipeline")) > TOLERANCE


@pytest.mark.skipif(find_spec("torchao") is None, reason="torchao is not installed")
def test_a_quantised_denoiser_makes_nearly_the_same_image(folders: Any) -> None:
    plain, quantised = (
        _generator(folders("sd"), steps=4, **more).make(REQUESTS[:1], PHOTOS[:1]).images
        for more in ({}, {"quantised": "torchao-int8"})
    )
    assert 0 < _apart(plain, quantised) < 32


def test_the_comparison_would_notice(folders: Any) -> None:
    def image(prompt: str = CAT, level: int = 50, **parameters: Any) -> Photos:
        part = _generator(folders("flux_dev"), **parameters)
        return part.make([Request(level, prompt, 0)], PHOTOS[:1]).images  # type: ignore[no-any-return]

    plain = image()
    others = [image(DOG), image(level=60), image(text_guidance=1.0), image(steps=6)]
    assert all(_apart(plain, other) > TOLERANCE for other in others)


@pytest.mark.slow(reason="one class has steps of its own; at them it is compared above")
def test_a_class_whose_defaults_are_for_two_steps_takes_others(folders: Any) -> None:
    part = _generator(folders("sana_sprint"), steps=4)
    images = part.make(REQUESTS, PHOTOS).images
    assert part.counts["denoiser_images"] == 2 + 4 + 2
    assert not np.array_equal(images[0], images[2])


@pytest.mark.parametrize("name", ["StableDiffusionXLImg2ImgPipeline", "FluxImg2ImgPipeline"])
def test_a_level_takes_its_steps_however_a_class_rounds_its_strength(name: str) -> None:
    kind = getattr(diffusers, name)
    for steps in (1, 2, 12, 25, 28, 50):
        for level in range(0, 100, 3):
            wanted = denoising_steps(level, steps)
            if not wanted:
                continue
            strength = strength_of(kind, level, steps)
            xl = int(steps * strength)
            flux = steps - int(max(steps - min(steps * strength, steps), 0))
            assert (xl if "XL" in name else flux) == wanted


def test_chance_that_another_thread_draws_meanwhile_is_not_the_schedulers() -> None:
    part = _generator(steps=2)
    expected = part.make(REQUESTS[:1], PHOTOS[:1]).images
    step, stop = threading.Event(), threading.Event()

    def draw() -> None:
        while not stop.is_set():
            torch.rand(1)
            step.set()

    other = threading.Thread(target=draw)
    other.start()
    try:
        assert step.wait(10)
        assert np.array_equal(part.make(REQUESTS[:1], PHOTOS[:1]).images, expected)
    finally:
        stop.set()
        other.join()


# ---------------------------------------------------------------- work


def test_steps_are_told_and_counted_without_filling() -> None:
    part = _generator(steps=4, chunk=2)
    requests = [Request(level, CAT, i) for i, level in enumerate((50, 0, 0))]
    told = PartOfWork(DENOISING, 100)
    with counting(told):
        part.make(requests, PHOTOS)
    assert told.told == part.counts["denoiser_images"] == 2 + 2 * 4
    assert part.counts["denoiser_calls"] == 2 + 4
    assert part.counts["calls"] == 2


def test_what_does_not_fit_into_memory_is_made_in_smaller_calls() -> None:
    part, sizes = _generator(steps=2, chunk=4), []
    pipeline = part.calls.pipeline

    class TooMuch:
        """As the pipeline, with memory for one image."""

        def __call__(self, **given: Any) -> Any:
            sizes.append(len(given["prompt"]))
            if len(given["prompt"]) > 1:
                raise MemoryError
            return pipeline(**given)

    part.calls.pipeline = TooMuch()
    part.calls.pipeline.device = pipeline.device  # type: ignore[attr-defined]
    requests = [Request(0, CAT, seed) for seed in range(2)]
    made = part.make(requests, PHOTOS[:2])
    assert sizes == [4, 2, 1, 1]
    alone = _generator(steps=2, chunk=1).make(requests, PHOTOS[:2])
    assert np.array_equal(made.images, alone.images)


def test_a_released_checkpoint_is_loaded_again_and_gives_the_same() -> None:
    part = _generator(steps=2)
    assert not part.release()
    request, photo = [Request(50, CAT, 3)], PHOTOS[:1]
    before = part.make(request, photo).images
    assert part.release()
    assert np.array_equal(part.make(request, photo).images, before)


def test_a_plan_says_that_it_is_slower_and_prices_no_gpu_by_work_that_is_not_counted(
    tmp_path: Path,
) -> None:
    (note,) = _generator().notes
    assert "mostly slower than one loop over all levels" in note
    assert "generator.name = 'img2img' drives this checkpoint too" in note
    (note,) = _generator(_holding(tmp_path, "SanaSprintPipeline")).notes
    assert "img2img" not in note
    nothing: Any = None
    with pytest.raises(UnknownWorkError, match="'pipeline' calls diffusers' own pipeline of"):
        bank_price(load("cifar10_lt", settings=["generator.name=pipeline"]), nothing, nothing, [0])


@pytest.mark.parametrize(
    ("parts", "side"),
    [
        ({"unet": {"sample_size": 64}}, 64),  # DeepFloyd IF
        ({"unet": {"sample_size": 64}, "movq": {"block_out_channels": [1] * 4}}, 512),
        (
            {"transformer": {"sample_size": 32}, "vae": {"encoder_block_out_channels": [1] * 6}},
            1024,
        ),
    ],
)
def test_photos_come_at_the_size_a_checkpoint_was_made_for(
    parts: dict[str, Any], side: int, tmp_path: Path
) -> None:
    for name, config in parts.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    assert _generator(tmp_path).photo_size == (side, side)
    assert _generator(tmp_path, size=(48, 32)).photo_size == (32, 48)


# ---------------------------------------------------------------- images that failed


def test_an_image_whose_values_are_not_finite_has_failed_and_its_neighbours_have_not() -> None:
    part = _generator(steps=2, chunk=2)
    decoder = part.calls.pipeline.vae.decoder

    def spoil(_module: Any, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
        output[0, 0, 0, 0] = torch.inf  # cut to 0 .. 1 it would be white
        return output

    decoder.register_forward_hook(spoil, prepend=True)
    made = part.make([Request(50, CAT, seed) for seed in range(2)], PHOTOS[:2])
    assert list(made.failed) == [0]
    assert "not finite" in made.failed[0]
    assert not made.images[0].any()
    assert made.images[1].any()


def test_an_image_that_the_safety_checker_flags_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    part = _generator(steps=2, chunk=2)
    monkeypatch.setattr(
        part.calls.pipeline,
        "run_safety_checker",
        lambda images, device, dtype: (images, [False, True][: len(images)]),
    )
    made = part.make([Request(50, CAT, seed) for seed in range(2)], PHOTOS[:2])
    assert made.failed == {1: FLAGGED}
    assert made.images[0].any()
    assert not made.images[1].any()


# ---------------------------------------------------------------- bad input


def _holding(tmp_path: Path, name: str) -> Path:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": name}))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("FluxKontextPipeline", "follows instructions; take generator.name = 'edit'"),
        ("FluxControlNetImg2ImgPipeline", "needs a picture of edges, depth or poses"),
        ("AuraFlowPipeline", "AuraFlowPipeline, which has no image-to-image form"),
        ("WanVideoToVideoPipeline", "makes videos; take one of the checkpoints in docs"),
        ("KandinskyV22Img2ImgPipeline", "is a decoder"),
    ],
)
def test_a_checkpoint_without_an_image_to_image_form_is_refused_before_it_is_loaded(
    name: str, says: str, tmp_path: Path
) -> None:
    part = _generator(_holding(tmp_path, name))
    with pytest.raises(UserError, match=says):
        part.identity()


def test_classes_outside_diffusers_mapping_are_found_by_their_names(tmp_path: Path) -> None:
    for named, called in (
        ("ChromaPipeline", "ChromaImg2ImgPipeline"),
        ("SanaSprintPipeline", "SanaSprintImg2ImgPipeline"),
        ("ZImagePipeline", "ZImageImg2ImgPipeline"),
        ("KandinskyV22CombinedPipeline", "KandinskyV22Img2ImgCombinedPipeline"),
    ):
        assert _generator(_holding(tmp_path, named)).choice.kind.__name__ == called


def test_a_pipeline_class_that_is_named_is_checked(tmp_path: Path) -> None:
    folder = _holding(tmp_path, "StableDiffusionPipeline")
    named = _generator(folder, pipeline_class="StableDiffusionPAGImg2ImgPipeline")
    assert named.choice.kind is diffusers.StableDiffusionPAGImg2ImgPipeline
    assert named.identity() != _generator(folder).identity()
    with pytest.raises(UserError, match="diffusers .* has no class StableDiffusionImg3ImgPipeline"):
        _generator(folder, pipeline_class="StableDiffusionImg3ImgPipeline").identity()
    with pytest.raises(UserError, match="takes no image, so levels cannot be told to Stable"):
        _generator(folder, pipeline_class="StableDiffusionPipeline").identity()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"steps": 0}, "generator.steps = 0: at least one"),
        ({"chunk": -1}, "generator.chunk = -1"),
        ({"text_guidance": -1.0}, "generator.text_guidance = -1.0"),
        ({"dtype": "float8"}, "no generator.dtype called 'float8'"),
        ({"device": "gpu"}, "generator.device = 'gpu'"),
        ({"size": 64}, "generator.size = 64"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named_with_the_way_out(
    given: dict[str, Any], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        Pipeline(**given)


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("StableDiffusion", {"arguments": {"clip_skp": 1}}, "did you mean 'clip_skip'"),
        ("StableDiffusion", {"arguments": {"strength": 0.5}}, "strength is set by the level"),
        ("StableDiffusion", {"arguments": {"guidance_scale": 2.0}}, "by generator.text_guidance"),
        ("StableDiffusion", {"arguments": {"eta": "much"}}, "arguments.eta = 'much': it takes a n"),
        ("StableDiffusion", {"arguments": {"timesteps": [1]}}, "no argument of StableDiffusionImg"),
        ("SanaSprint", {"arguments": {"use_resolution_binning": True}}, "is always False here"),
        ("SanaSprint", {"negative_prompt": "blur"}, "SanaSprintImg2ImgPipeline takes none"),
        ("QwenImage", {"text_guidance": 4.0}, "set generator.negative_prompt, to ' '"),
        ("Flux", {"arguments": {"true_cfg_scale": 2.0}}, "guides away from a negative prompt"),
        ("Flux", {"negative_prompt": "blur"}, "has no effect at generator.arguments.true_cfg"),
    ],
)
def test_arguments_and_guidance_are_checked_against_the_call_before_weights_are_read(
    name: str, given: dict[str, Any], says: str, tmp_path: Path
) -> None:
    part = _generator(_holding(tmp_path, f"{name}Pipeline"), **given)
    with pytest.raises(UserError, match=says):
        part.identity()


def test_arguments_reach_the_call_and_the_identity() -> None:
    request, photo = [Request(0, CAT, 3)], PHOTOS[:1]
    plain = _generator(steps=2).make(request, photo).images
    other = _generator(steps=2, arguments={"eta": 1.0}).make(request, photo).images
    assert plain.shape == other.shape
    bound = bind("generators", "pipeline", {"arguments": {"eta": 1.0}})
    assert bound.identity()["parameters"] == {"arguments": {"eta": 1.0}}


def test_a_class_for_other_checkpoints_is_answered_in_a_sentence() -> None:
    part = _generator(pipeline_class="StableDiffusionXLImg2ImgPipeline", steps=2)
    with pytest.raises(UserError, match=r"refuses the call .*generator\.pipeline_class"):
        part.make([Request(0, CAT, 3)], PHOTOS[:1])


def test_guidance_that_a_distilled_checkpoint_ignores_is_refused(folders: Any) -> None:
    part = _generator(folders("flux_schnell"), text_guidance=3.5)
    with pytest.raises(UserError, match="was distilled without guidance"):
        part.make([Request(50, CAT, 0)], PHOTOS[:1])


def test_a_scheduler_that_draws_chance_of_its_own_is_refused(folders: Any) -> None:
    part = _generator(folders("flux_schnell"), steps=2)
    part.calls.pipeline.scheduler.register_to_config(stochastic_sampling=True)
    with pytest.raises(UserError, match="FlowMatchEulerDiscreteScheduler draws chance of its own"):
        part.make([Request(0, CAT, 0)], PHOTOS[:1])


def test_levels_that_begin_at_one_timestep_are_refused() -> None:
    part = _generator(steps=4)
    part.calls.of_level = lambda level: {"strength": 0.5}
    with pytest.raises(UserError, match="levels 0 and 50 begin at timesteps"):
        part.make([Request(level, CAT, 0) for level in (0, 50)], PHOTOS[:2])


def test_sizes_are_cut_to_what_the_pipeline_takes_and_too_small_ones_refused(folders: Any) -> None:
    part = _generator(folders("flux_schnell"), steps=1, size=(40, 70))
    assert part.make([Request(0, CAT, 0)], PHOTOS[:1]).images.shape == (1, 64, 32, 3)
    with pytest.raises(UserError, match="needs photos of at least 16x16 pixels, got 12x20"):
        _generator(folders("flux_schnell"), size=(12, 20)).make([Request(0, CAT, 0)], PHOTOS[:1])


def test_a_level_without_a_step_is_refused() -> None:
    with pytest.raises(UserError, match="level 99 leaves no denoising step out of 10"):
        _generator().make([Request(99, CAT, 0)], PHOTOS[:1])
