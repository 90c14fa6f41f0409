"""What a level means for a checkpoint, compared with the schedulers' own tables of noise.

Checkpoints are folders of configuration files: whatever is told here is told without weights.
"""

import json
import math
import re
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers.pipelines.flux.pipeline_flux import calculate_shift

from discl.config.experiment import Experiment
from discl.config.load import load
from discl.core.errors import UserError
from discl.core.interfaces import Request
from discl.core.levels import LevelCounting, LevelGrid, check_levels, denoising_steps, levels_made
from discl.files.shipped import checkpoint_configs
from discl.harness.bank.level_table import level_table, remarks
from discl.parts.generators.base.families.flow import shift_of
from discl.parts.generators.base.schedulers import SCHEDULERS
from discl.parts.generators.img2img import Img2Img

STEPS = 20
SD_NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
EULER = {"_class_name": "EulerDiscreteScheduler", **SD_NOISE, "steps_offset": 1}
FLOW = {"_class_name": "FlowMatchEulerDiscreteScheduler"}
DYNAMIC = {
    **FLOW,
    "use_dynamic_shifting": True,
    "base_shift": 0.5,
    "max_shift": 1.15,
    "base_image_seq_len": 256,
    "max_image_seq_len": 4096,
}
QWEN = {**DYNAMIC, "max_shift": 0.9, "max_image_seq_len": 8192, "shift_terminal": 0.02}
KARRAS = {"use_karras_sigmas": True}


def _folder(
    folder: Path, scheduler: dict[str, Any], pipeline: str = "StableDiffusionXLPipeline"
) -> str:
    """Configuration files of a checkpoint for 1024 pixels."""
    denoiser = "unet" if "Diffusion" in pipeline and "3" not in pipeline else "transformer"
    files = {
        "model_index.json": {"_class_name": pipeline},
        "scheduler/scheduler_config.json": scheduler,
        f"{denoiser}/config.json": {"sample_size": 128},
        "vae/config.json": {"block_out_channels": [8, 16, 16, 16]},
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    return str(folder)


def _grid(folder: Path, own: dict[str, Any], **more: Any) -> LevelGrid:
    return Img2Img(_folder(folder, own), STEPS, **more).level_grid()


def _own_sigmas(scheduler: Any) -> list[float]:
    """Noise over photo at each place, from the table that a scheduler keeps of it."""
    if hasattr(scheduler, "sigmas"):
        return [float(sigma) for sigma in scheduler.sigmas if sigma]
    kept = scheduler.alphas_cumprod[scheduler.timesteps.long()]
    return [float(sigma) for sigma in ((1 - kept) / kept).sqrt()]


@pytest.mark.parametrize("name", SCHEDULERS)
def test_levels_agree_with_the_tables_of_every_scheduler(name: str, tmp_path: Path) -> None:
    grid = _grid(tmp_path, EULER, scheduler=name)
    more = {"skip_prk_steps": True} if name == "PNDMScheduler" else {}
    settings = diffusers.EulerDiscreteScheduler(**SD_NOISE, steps_offset=1).config
    own = getattr(diffusers, name).from_config(settings, **more)
    own.set_timesteps(STEPS)
    timesteps = torch.unique_consecutive(own.timesteps)
    # the tables of PNDM and Heun repeat places, and that of DEIS has the end
    sigmas = list(dict.fromkeys(_own_sigmas(own)))[:STEPS]
    assert len(grid.starts) == len(timesteps) == STEPS
    for start, timestep, sigma in zip(grid.starts, timesteps, sigmas, strict=True):
        assert start.timestep == pytest.approx(float(timestep))
        assert grid.sigma(start) == pytest.approx(sigma, rel=1e-4)
        assert start.signal == pytest.approx(1 / (1 + sigma**2), rel=1e-4)


@pytest.mark.parametrize(
    "spacing", ["use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"]
)
def test_other_spacings_of_sigma_are_told_as_they_are(spacing: str, tmp_path: Path) -> None:
    grid = _grid(tmp_path, EULER | {spacing: True})
    own = diffusers.EulerDiscreteScheduler(**SD_NOISE, steps_offset=1, **{spacing: True})
    own.set_timesteps(STEPS)
    assert [grid.sigma(start) for start in grid.starts] == pytest.approx(own.sigmas[:-1].tolist())


def test_with_karras_sigmas_an_edit_of_30_percent_is_one_of_7(tmp_path: Path) -> None:
    steps = 28
    begin = steps - denoising_steps(70, steps)
    plain, karras = (
        Img2Img(_folder(tmp_path / name, EULER | more), steps).level_grid().starts[begin]
        for name, more in (("plain", {}), ("karras", KARRAS))
    )
    assert (plain.timestep / 1000, karras.timestep / 1000) == pytest.approx((0.26, 0.07), abs=0.005)
    assert (plain.signal, karras.signal) == pytest.approx((0.66, 0.93), abs=0.005)


@pytest.mark.parametrize("levels_as", ["steps", "signal"])
def test_levels_far_from_their_signal_are_told_of_the_setting_that_follows_it(
    levels_as: str,
) -> None:
    spec = load("imagenet_lt", "paper", [f"levels_as={levels_as}"])
    told = [said for said in remarks(level_table(spec)) if "levels_as=signal" in said]
    assert len(told) == (levels_as == "steps")
    assert all(said.startswith("Level 30 leaves 9 % of the signal") for said in told)


def test_the_shift_of_a_grid_is_that_of_diffusers_to_the_last_bit() -> None:
    for line in ((256, 4096, 0.5, 1.15), (256, 8192, 0.5, 0.9)):
        for tokens in (4, 256, 1024, 1536, 4096, 9999):
            assert shift_of(tokens, *line) == calculate_shift(tokens, *line)


@pytest.mark.parametrize("size", [(512, 512), (768, 512), (1024, 1024)])
@pytest.mark.parametrize(
    ("pipeline", "config"), [("FluxPipeline", DYNAMIC), ("QwenImagePipeline", QWEN)]
)
def test_dynamic_shifting_follows_the_size(
    size: tuple[int, int], pipeline: str, config: dict[str, Any], tmp_path: Path
) -> None:
    grid = Img2Img(_folder(tmp_path, config, pipeline), STEPS).level_grid(size)
    own = diffusers.FlowMatchEulerDiscreteScheduler(
        **{key: value for key, value in config.items() if key != "_class_name"}
    )
    tokens = (size[0] // 16) * (size[1] // 16)
    shift = calculate_shift(tokens, 256, config["max_image_seq_len"], 0.5, config["max_shift"])
    own.set_timesteps(sigmas=np.linspace(1, 1 / STEPS, STEPS), mu=shift)
    sigmas = own.sigmas[:-1].tolist()
    assert grid.size == size
    assert [grid.sigma(start) for start in grid.starts] == pytest.approx(sigmas, rel=1e-5)
    shares = [(1 - sigma) ** 2 / ((1 - sigma) ** 2 + sigma**2) for sigma in sigmas]
    assert [start.signal for start in grid.starts] == pytest.approx(shares, rel=1e-4, abs=1e-9)


@pytest.mark.parametrize(
    ("pipeline", "config", "size", "sigma"),
    [  # as diffusers' own pipelines were seen to begin: strength 0.5 of 28 steps
        ("FluxPipeline", DYNAMIC, (512, 512), 0.65249),
        ("FluxPipeline", DYNAMIC, (1024, 1024), 0.75951),
        ("FluxPipeline", FLOW | {"shift": 1.0}, (512, 512), 0.5),
        ("QwenImagePipeline", QWEN, (1024, 1024), 0.64922),
        ("StableDiffusion3Pipeline", FLOW | {"shift": 3.0}, (512, 512), 0.73706),
        ("ZImagePipeline", FLOW | {"shift": 3.0}, (1024, 1024), 0.75),
    ],
)
def test_families_of_flow_matching_begin_where_their_pipelines_do(
    pipeline: str, config: dict[str, Any], size: tuple[int, int], sigma: float, tmp_path: Path
) -> None:
    grid = Img2Img(_folder(tmp_path, config, pipeline), 28).level_grid(size)
    assert grid.sigma(grid.starts[14]) == pytest.approx(sigma, abs=1e-5)
    assert (grid.size is None) == ("use_dynamic_shifting" not in config)


@pytest.mark.parametrize("checkpoint", checkpoint_configs())
def test_every_shipped_configuration_tells_levels(checkpoint: str) -> None:
    grid = Img2Img(checkpoint, 28).level_grid()
    signals = [start.signal for start in grid.starts]
    assert signals == sorted(signals)
    assert signals[0] < 0.01
    assert 0.05 < signals[14] < 0.55
    assert signals[-1] > 0.8


def test_what_is_told_of_old_checkpoints_is_what_their_pipeline_makes_of_them(
    tmp_path: Path,
) -> None:
    config = EULER | {"steps_offset": 0, "timestep_spacing": "leading"}
    folder = _folder(tmp_path, config, "StableDiffusionPipeline")
    told = [start.timestep for start in Img2Img(folder, STEPS).level_grid().starts]
    own = diffusers.EulerDiscreteScheduler.from_pretrained(str(tmp_path / "scheduler"))
    nothing = dict.fromkeys(
        ("vae", "text_encoder", "tokenizer", "unet", "safety_checker", "feature_extractor")
    )
    pipeline = diffusers.StableDiffusionImg2ImgPipeline(
        **nothing, scheduler=own, requires_safety_checker=False
    )
    pipeline.scheduler.set_timesteps(STEPS)
    assert told == pipeline.scheduler.timesteps.tolist()
    assert told[0] == 951  # and 950 by the file


# ---------------------------------------------------------------- levels by surviving signal


def _by_signal(folder: Path, scheduler: dict[str, Any], pipeline: str, steps: int) -> LevelCounting:
    generator = Img2Img(_folder(folder, scheduler, pipeline), steps, levels_as="signal")
    counting = generator.counting()
    assert not isinstance(counting, int)
    return counting


def test_a_level_by_signal_means_the_same_in_models_of_both_kinds(tmp_path: Path) -> None:
    models = [
        (EULER, "StableDiffusionXLPipeline", 50),
        (FLOW | {"shift": 3.0}, "StableDiffusion3Pipeline", 28),
    ]
    for number, (scheduler, pipeline, steps) in enumerate(models):
        folder = tmp_path / str(number)
        counting = _by_signal(folder, scheduler, pipeline, steps)
        shares = [start.signal for start in Img2Img(str(folder), steps).level_grid().starts]
        for level in (10, 30, 50, 70, 90):
            place = steps - counting(level)
            gap = max(abs(shares[i] - shares[place]) for i in (place - 1, place + 1))
            assert abs(shares[place] - level / 100) <= gap / 2 + 1e-9
    # by steps, level 50 leaves three times as much in one as in the other
    plain = [
        Img2Img(str(tmp_path / str(number)), steps).level_grid().starts[steps // 2].signal
        for number, (*_, steps) in enumerate(models)
    ]
    assert plain == pytest.approx([0.291, 0.113], abs=0.001)


def test_levels_by_signal_that_coincide_name_the_fewest_steps(tmp_path: Path) -> None:
    levels = [30, 45, 80]
    counting = _by_signal(tmp_path, FLOW | {"shift": 3.0}, "StableDiffusion3Pipeline", 8)
    with pytest.raises(UserError, match=r"both start \d steps before the end of 8") as refused:
        check_levels(levels, counting)
    told = re.search(r"generator.steps = (\d+), the fewest above 8", str(refused.value))
    assert told is not None
    for steps in range(9, int(told[1]) + 1):
        apart = len({counting.with_steps(steps)(level) for level in levels}) == len(levels)
        assert apart == (steps == int(told[1]))


def test_levels_by_signal_are_other_images_and_levels_by_steps_the_same_as_ever() -> None:
    def ids(*more: str) -> dict[str, str]:
        settings = ["strategies=['static','real_only']", "generator.steps=25", *more]
        bench = load("cifar10_lt", settings=settings)
        return {strategy: Experiment(bench, strategy, 0).id() for strategy in bench.strategies}

    base, by_signal = ids(), ids("levels_as=signal")
    assert ids("levels_as=steps") == base
    assert ids("generator.levels_as=signal") == by_signal
    assert by_signal["static"] != base["static"]
    assert by_signal["real_only"] == base["real_only"]


@pytest.mark.parametrize("level", [1, 99])
def test_a_level_that_no_step_leaves_is_refused(level: int, tmp_path: Path) -> None:
    counting = _by_signal(tmp_path, FLOW | {"shift": 1.0}, "FluxPipeline", 4)
    with pytest.raises(UserError, match=rf"level {level} .* they reach [56] to 9[45] %"):
        counting(level)
    assert [counting(level) for level in (0, 10, 50, 90)] == [4, 3, 2, 1]


def test_images_by_signal_are_those_of_the_step_it_comes_to() -> None:
    photos = np.full((1, 32, 32, 3), 90, np.uint8)
    by_signal = Img2Img("in_domain", 5, levels_as="signal", chunk=1, device="cpu")
    counting = by_signal.counting((32, 32))
    level = next(each for each in range(0, 100, 5) if denoising_steps(each, 5) == 2)
    same = next(each for each, steps in levels_made(counting).items() if steps == 2)
    assert level != same
    one = by_signal.make([Request(same, "a photo of a cat", 3)], photos).images
    by_steps = Img2Img("in_domain", 5, chunk=1, device="cpu")
    by_steps.family = by_signal.family  # which takes the most time
    other = by_steps.make([Request(level, "a photo of a cat", 3)], photos).images
    assert np.array_equal(one, other)


def test_level_0_begins_from_noise_or_with_what_the_first_place_leaves() -> None:
    noise, trace = (Img2Img(level_0=kind).level_grid() for kind in ("noise", "photo_trace"))
    assert (noise.noise_at_0, trace.noise_at_0) == (True, False)
    assert noise.starts == trace.starts
    assert math.isfinite(noise.sigma(noise.starts[0]))


@pytest.mark.parametrize(
    ("checkpoint", "says"),
    [
        ("nobody/nothing", "hf download nobody/nothing"),
        ("./nowhere/at/all", "no such folder"),
        ("pkg://discl/assets/cifar10_clip", "no folder `scheduler`"),
    ],
)
def test_a_checkpoint_without_configuration_says_what_to_do(checkpoint: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        Img2Img(checkpoint).level_grid()


@pytest.mark.parametrize(
    ("pipeline", "own", "says"),
    [
        ("StableDiffusionXLPipeline", {"_class_name": "Nonsense"}, r"can make \(found: Nonsense\)"),
        ("FluxPipeline", {}, "found: a scheduler_config.json that names no class"),
        ("FluxPipeline", DYNAMIC | {"base_shift": "much"}, "does not say how the grid is shifted"),
        ("FluxPipeline", EULER, "is not for flow models"),
        ("StableDiffusionXLPipeline", FLOW, "is for flow models"),
        ("StableDiffusionXLPipeline", {"_class_name": "IPNDMScheduler"}, "adds no noise to a"),
        ("StableDiffusionXLPipeline", EULER | {"timestep_spacing": "odd"}, "has no such grid"),
        ("StableDiffusionXLPipeline", EULER | {"num_train_timesteps": 10**9}, "at most 100000"),
        (
            "StableDiffusionXLPipeline",
            EULER | {"_class_name": "DDIMScheduler", "trained_betas": [math.nan] * 1000},
            "no number; repair the noise",
        ),
    ],
)
def test_settings_of_noise_that_make_no_sense_are_answered(
    pipeline: str, own: dict[str, Any], says: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=says):
        Img2Img(_folder(tmp_path, own, pipeline)).level_grid()


def test_an_unknown_way_to_count_levels_is_refused() -> None:
    with pytest.raises(UserError, match=r"levels_as.*signal"):
        Img2Img(levels_as="sigma")
