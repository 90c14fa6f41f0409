"""Every scheduler by name: levels begin and end where they say, or the scheduler is refused.

The denoiser of these checkpoints is replaced by one that knows the answer, written from the
definition of the noise: x_t = signal * photo + sigma * noise (Ho et al. 2020).
"""

import inspect
import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from discl.core.errors import UserError
from discl.core.interfaces import Photos, Request
from discl.core.levels import denoising_steps
from discl.core.registry import bind
from discl.harness.leaderboard.corrections import corrections_of
from discl.parts.generators.base.families import FAMILIES
from discl.parts.generators.base.schedulers import (
    CLIPPING,
    FLOW_SCHEDULERS,
    REFUSED,
    SCHEDULERS,
)
from discl.parts.generators.img2img import Img2Img
from discl.testing import untrained

STEPS = 12
LEVELS = (0, 50, 92)
CAT = "a photo of a cat"
EMBEDDED = "pkg://discl/assets/cifar10_diffusion"
SD_NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
V = {"prediction_type": "v_prediction"}
ZERO_SNR = {**V, "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
ZERO = "zero terminal SNR"

# kind of untrained checkpoint, and its scheduler where not the kind's own
CHECKPOINTS: dict[str, tuple[str, Any]] = {
    "embedded": ("", None),
    "sd": ("sd", None),
    "sd v": ("sd", diffusers.DDIMScheduler(**SD_NOISE, **V, steps_offset=1, clip_sample=False)),
    ZERO: ("sd", diffusers.DDIMScheduler(**SD_NOISE, **ZERO_SNR, clip_sample=False)),
    "sdxl": ("sdxl", None),
}

NOT_FOR_ZERO = "has no setting rescale_betas_zero_snr"
# what each says that a checkpoint of this kind refuses
REFUSALS: dict[tuple[str, str], str] = {
    ("embedded", "HeunDiscreteScheduler"): "it overshoots",
    ("embedded", "PNDMScheduler"): "takes .* of its input to be the photo",
    ("sd v", "PNDMScheduler"): "takes .* of its input to be the photo",
    (ZERO, "DEISMultistepScheduler"): NOT_FOR_ZERO,
    (ZERO, "DPMSolverSinglestepScheduler"): NOT_FOR_ZERO,
    (ZERO, "HeunDiscreteScheduler"): NOT_FOR_ZERO,
    (ZERO, "LMSDiscreteScheduler"): NOT_FOR_ZERO,
    (ZERO, "PNDMScheduler"): NOT_FOR_ZERO,
}


# calls of the denoiser at so many steps; elsewhere one a step
CALLS: dict[str, Any] = {
    "FlowMatchHeunDiscreteScheduler": lambda steps: 2 * steps - 1,
    "HeunDiscreteScheduler": lambda steps: 2 * steps - 1,
    "PNDMScheduler": lambda steps: steps + 1 if steps > 1 else 1,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """By name, the folder of a checkpoint that is written on first use."""

    @cache
    def folder(name: str) -> str:
        kind, scheduler = CHECKPOINTS[name]
        if not kind:
            return EMBEDDED
        path = untrained.write(kind, tmp_path_factory.mktemp(kind))
        if scheduler is not None:
            scheduler.save_pretrained(path / "scheduler")
            index = json.loads((path / "model_index.json").read_text("utf-8"))
            index["scheduler"] = ["diffusers", type(scheduler).__name__]
            (path / "model_index.json").write_text(json.dumps(index))
        return str(path)

    return folder


class Seen(NamedTuple):
    """What the denoiser was shown, and what came of it."""

    timesteps: list[float]
    inputs: list[torch.Tensor]  # each [c, h, w]
    latents: torch.Tensor  # [c, h, w], at the end


class Oracle(torch.nn.Module):
    """A denoiser that takes each photo to be `photo`, whatever it is shown.

    None: it knows only that photos are normal noise of deviation 1, and answers with the photo that
    is to be expected.
    """

    def __init__(self, unet: Any, noise: Any, kind: str, photo: float | None) -> None:
        super().__init__()
        self.config = unet.config
        self.dtype = unet.dtype
        self.device = unet.device
        self.noise = noise
        self.kind = kind
        self.photo = photo
        self.timesteps: list[float] = []
        self.inputs: list[torch.Tensor] = []

    def forward(self, inputs: torch.Tensor, timesteps: torch.Tensor, **_: Any) -> Any:
        # the denoiser is handed a timestep for each image, all the same where one level is made
        timestep = float(timesteps.flatten()[0])
        signal, sigma = amounts(self.noise, timestep)
        self.timesteps.append(timestep)
        self.inputs.append(inputs[0].clone())
        photo = signal * inputs.double() if self.photo is None else self.photo
        found = (inputs.double() - signal * photo) / sigma
        answer = found if self.kind == "epsilon" else signal * found - sigma * photo
        return (answer.float(),)


def amounts(kept: torch.Tensor, timestep: float) -> tuple[float, float]:
    """sqrt(a) and sqrt(1 - a) of a timestep; those between two by the ratio of noise to photo."""
    if timestep == round(timestep):
        a = float(kept[int(timestep)].double())
        return a**0.5, (1 - a) ** 0.5
    ratios = ((1 - kept.double()) / kept.double()).sqrt().numpy()
    ratio = float(np.interp(timestep, np.arange(len(ratios)), ratios))
    return (1 + ratio**2) ** -0.5, ratio * (1 + ratio**2) ** -0.5


@pytest.fixture(scope="module")
def generators(folders: Any) -> Any:
    """By checkpoint and scheduler, a generator; it is loaded once."""

    @cache
    def generator(checkpoint: str, scheduler: str, steps: int = STEPS) -> Any:
        parameters = {
            "checkpoint": folders(checkpoint),
            "steps": steps,
            "scheduler": scheduler,
            "text_guidance": 1.0,
            "level_0": "photo_trace",
            "chunk": 1,
            "device": "cpu",
        }
        return bind("generators", "img2img", parameters).build()

    return generator


def seen(generator: Any, level: int, photo: float, told: float | None, noise: torch.Tensor) -> Seen:
    """One image of `level`, of latents that are `photo` everywhere; the denoiser says `told`."""
    family = generator.family
    config = family.pipeline.scheduler.config
    oracle = Oracle(family.denoiser, noise, config.prediction_type, told)
    side = 8 * family.pipeline.vae_scale_factor
    shape = (family.denoiser.config.in_channels, side // family.pipeline.vae_scale_factor)
    latents: list[torch.Tensor] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(family, "denoiser", oracle)
        patch.setattr(
            family, "encode", lambda photos: (torch.zeros(len(photos), shape[0], 8, 8), None)
        )
        patch.setattr(type(family), "is_sampled", False)
        patch.setattr(family, "scaled", lambda code: code + photo)

        def decoded(batch: torch.Tensor) -> torch.Tensor:
            latents.append(batch[0].clone())
            return torch.zeros(len(batch), 3, side, side)

        patch.setattr(family, "decode", decoded)
        generator.make([Request(level, CAT, 7)], np.zeros((1, side, side, 3), np.uint8))
    return Seen(oracle.timesteps, oracle.inputs, latents[0])


def share(one: torch.Tensor, other: torch.Tensor, photo: float) -> float:
    """Of photos +photo and -photo in the same noise, exactly."""
    return float((one.double() - other.double()).mean()) / (2 * photo)


# "sd" is quick where it differs from "embedded": two are accepted, one begins below the last step
QUICK_OF_SD = ("DDIMScheduler", "HeunDiscreteScheduler", "PNDMScheduler")
CASES = [
    pytest.param(
        checkpoint,
        name,
        marks=()
        if checkpoint in ("embedded", ZERO) or (checkpoint == "sd" and name in QUICK_OF_SD)
        else pytest.mark.slow(reason="another noise, prediction or network of the same scheduler"),
    )
    for checkpoint in CHECKPOINTS
    for name in SCHEDULERS
]


@pytest.mark.parametrize(("checkpoint", "scheduler"), CASES)
def test_levels_begin_and_end_where_they_say(
    checkpoint: str, scheduler: str, generators: Any
) -> None:
    generator = generators(checkpoint, scheduler)
    if (checkpoint, scheduler) in REFUSALS:
        with pytest.raises(UserError, match=REFUSALS[checkpoint, scheduler]):
            generator.make([Request(50, CAT, 0)], np.zeros((1, 64, 64, 3), np.uint8))
        return
    noise = generators(checkpoint, "").family.pipeline.scheduler.alphas_cumprod
    kept: list[float] = []
    for level in LEVELS:
        up, down = (seen(generator, level, photo, photo, noise) for photo in (2.5, -2.5))
        steps = denoising_steps(level, STEPS)
        assert len(up.timesteps) == CALLS.get(scheduler, int)(steps)
        # a place and a half, as grids differ at their ends
        assert abs(up.timesteps[0] - 1000 * steps / STEPS) <= 1.5 * 1000 / STEPS
        for timestep, one, other in zip(up.timesteps, up.inputs, down.inputs, strict=True):
            assert share(one, other, 2.5) == pytest.approx(amounts(noise, timestep)[0], abs=0.01)
        assert share(up.latents, down.latents, 2.5) == pytest.approx(1, abs=0.01)
        free = [seen(generator, level, photo, None, noise).latents for photo in (1.0, -1.0)]
        kept.append(share(*free, 1.0))
        assert 0.5 < free[0].std() < 1.5 or level >= 80  # neither washed out nor overshot
    assert kept == sorted(set(kept))  # the higher the level, the nearer to the photo
    assert kept[-1] > 0.85


# ---------------------------------------------------------------- which there are


CALLS_IN_WORDS = {
    "FlowMatchHeunDiscreteScheduler": "2n - 1",
    "HeunDiscreteScheduler": "2n - 1",
    "PNDMScheduler": "n + 1; 1 for n = 1",
}


def _rows_of_the_page() -> list[tuple[str, ...]]:
    """The two tables of the page, by what the tests above hold."""
    accepted = [
        (
            f"`{name}`",
            CALLS_IN_WORDS.get(name, "n"),
            *(
                "no" if (checkpoint, name) in REFUSALS else "yes"
                for checkpoint in ("embedded", "sd", "sd v", ZERO)
            ),
        )
        for name in SCHEDULERS
    ]
    flows = [family for family in FAMILIES.values() if family.flow_schedulers]
    of_flow = [
        (
            f"`{name}`",
            CALLS_IN_WORDS.get(name, "n"),
            "all"
            if all(name in family.flow_schedulers for family in flows)
            else "Stable Diffusion 3, whose grid is the scheduler's own",
        )
        for name in FLOW_SCHEDULERS
    ]
    refused = [(f"`{name}`", reason) for name, reason in REFUSED.items()]
    return [*accepted, *of_flow, *refused]


def test_the_page_lists_what_is_accepted_and_refused() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "schedulers.md").read_text("utf-8")
    rows = [
        tuple(cell.strip() for cell in line.strip("|").split("|"))
        for line in page.splitlines()
        if line.startswith("| `")
    ]
    assert rows == _rows_of_the_page()
    assert all(need.reason in " ".join(page.split()) for need in SCHEDULERS.values() if need)


def test_calls_in_words_are_those_that_are_counted() -> None:
    assert CALLS.keys() == CALLS_IN_WORDS.keys()


def test_a_scheduler_is_accepted_or_refused_but_not_both() -> None:
    assert not {*SCHEDULERS, *FLOW_SCHEDULERS} & set(REFUSED)
    assert all(hasattr(diffusers, name) for name in (*SCHEDULERS, *FLOW_SCHEDULERS, *REFUSED))


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_scheduler_is_named_with_its_reason(name: str) -> None:
    with pytest.raises(UserError, match=f"generator.scheduler = '{name}': it .*; take another"):
        Img2Img(scheduler=name)


def test_schedulers_that_clip_by_default_are_known() -> None:
    clipping = [
        name
        for name in SCHEDULERS
        if getattr(
            inspect.signature(getattr(diffusers, name).__init__).parameters.get("clip_sample"),
            "default",
            False,
        )
    ]
    assert sorted(CLIPPING) == clipping


def test_a_scheduler_clips_only_where_the_checkpoint_says_so(folders: Any, tmp_path: Path) -> None:
    def made(name: str, checkpoint: str) -> Any:
        given = {"checkpoint": checkpoint, "scheduler": name, "device": "cpu"}
        return bind("generators", "img2img", given).build().family.pipeline.scheduler

    assert not made("DDPMScheduler", folders("sd")).config.clip_sample
    path = untrained.write("sdxl", tmp_path / "clips")
    written = path / "scheduler" / "scheduler_config.json"
    written.write_text(json.dumps({**json.loads(written.read_text()), "clip_sample": True}))
    assert made("DDPMScheduler", str(path)).config.clip_sample


def test_a_checkpoint_whose_own_scheduler_draws_noise_of_its_own_is_refused() -> None:
    from discl.parts.generators.base.schedulers import scheduler_for

    own = type("DPMSolverSDEScheduler", (), {})()
    with pytest.raises(UserError, match="'here': its DPMSolverSDE.* draws noise of its own.*; set"):
        scheduler_for(own, "", "here")


@pytest.mark.parametrize(("steps", "says"), [(1500, "at most 1000"), (0, "at least one")])
def test_steps_that_no_grid_has_are_refused(steps: int, says: str) -> None:
    with pytest.raises(UserError, match=f"generator.steps = {steps}: .*{says}"):
        Img2Img(steps=steps)


def test_steps_that_the_grid_cannot_tell_apart_are_refused(tmp_path: Path) -> None:
    path = untrained.write("sd", tmp_path / "few")
    written = path / "scheduler" / "scheduler_config.json"
    written.write_text(json.dumps({**json.loads(written.read_text()), "num_train_timesteps": 10}))
    with pytest.raises(UserError, match="generator.steps = 15: .*one timestep"):
        Img2Img(str(path), steps=15).make([Request(50, CAT, 0)], np.zeros((1, 32, 32, 3), np.uint8))


def test_only_banks_whose_images_changed_get_new_ids(folders: Any) -> None:
    def extra(checkpoint: str, scheduler: str) -> Any:
        given = {"checkpoint": folders(checkpoint), "scheduler": scheduler}
        return bind("generators", "img2img", given).build().identity().get("scheduler_version")

    changed = {"DDIMScheduler", "DDPMScheduler", "LMSDiscreteScheduler", "PNDMScheduler"}
    assert {name for name in ("", *SCHEDULERS) if extra("embedded", name)} == changed
    # whose own scheduler said that nothing is clipped
    assert extra("sd v", "DDPMScheduler") is None


def test_runs_on_images_from_before_are_told_by_the_version_of_their_scheduler() -> None:
    def touching(scheduler: str) -> list[str]:
        bound = bind("generators", "img2img", {"scheduler": scheduler})
        after = bound.identity() | bound.build().identity()
        before = {key: value for key, value in after.items() if key != "scheduler_version"}
        found = [
            {correction.name for correction in corrections_of({"images": {"generator": generator}})}
            for generator in (before, after)
        ]
        return sorted(found[0] - found[1])

    assert touching("LMSDiscreteScheduler") == ["multistep-starts"]
    assert touching("DDPMScheduler") == ["clipped-latents"]
    assert touching("EulerDiscreteScheduler") == []


# ---------------------------------------------------------------- as diffusers, where that is right


def _diffusers(folder: str, scheduler: str, **call: Any) -> Photos:
    pipeline = diffusers.AutoPipelineForImage2Image.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = getattr(diffusers, scheduler).from_config(
        pipeline.scheduler.config, skip_prk_steps=True
    )
    image = pipeline(CAT, output_type="np", num_inference_steps=STEPS, **call).images[0]
    return (image * 255).round().astype(np.uint8)  # type: ignore[no-any-return]


@pytest.mark.parametrize("scheduler", ["LMSDiscreteScheduler", "PNDMScheduler"])
def test_from_the_top_of_the_grid_images_are_those_of_diffusers(
    scheduler: str, folders: Any
) -> None:
    photos = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    given = {
        "checkpoint": folders("sd"),
        "steps": STEPS,
        "text_guidance": 4.0,
        "scheduler": scheduler,
        "level_0": "photo_trace",
        "device": "cpu",
    }
    image = bind("generators", "img2img", given).build().make([Request(0, CAT, 3)], photos).images
    expected = _diffusers(
        folders("sd"),
        scheduler,
        image=Image.fromarray(photos[0]),
        strength=1.0,
        guidance_scale=4.0,
        generator=torch.Generator().manual_seed(3),
    )
    assert np.abs(image[0].astype(int) - expected).max() <= 2


def test_a_linear_multistep_begins_in_the_middle_by_a_step_of_euler(generators: Any) -> None:
    noise = generators("sd", "").family.pipeline.scheduler.alphas_cumprod
    one, two = (
        seen(generators("sd", name), 80, 1.0, None, noise)
        for name in ("LMSDiscreteScheduler", "EulerDiscreteScheduler")
    )
    assert one.timesteps == two.timesteps
    assert torch.allclose(one.inputs[1], two.inputs[1], atol=1e-5)


# ---------------------------------------------------------------- guidance_rescale


@pytest.mark.parametrize("share", [0.3, pytest.param(1.0, marks=pytest.mark.slow)])
def test_rescaled_guidance_gives_the_images_of_diffusers(share: float, folders: Any) -> None:
    photos = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    given = {
        "checkpoint": folders("sdxl"),
        "steps": STEPS,
        "text_guidance": 6.0,
        "guidance_rescale": share,
        "device": "cpu",
    }
    image = bind("generators", "img2img", given).build().make([Request(50, CAT, 3)], photos).images
    expected, plain = (
        _diffusers(
            folders("sdxl"),
            "EulerDiscreteScheduler",
            image=Image.fromarray(photos[0]),
            strength=0.5,
            guidance_scale=6.0,
            guidance_rescale=rescale,
            generator=torch.Generator().manual_seed(3),
        ).astype(int)
        for rescale in (share, 0.0)
    )
    assert np.abs(image[0] - expected).max() <= 2
    assert np.abs(image[0] - plain).max() > 2


def test_rescaled_guidance_is_part_of_the_identity_unless_it_is_0() -> None:
    plain, zero, some = (
        bind("generators", "img2img", given).identity()
        for given in ({}, {"guidance_rescale": 0.0}, {"guidance_rescale": 0.7})
    )
    assert plain == zero != some


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"guidance_rescale": 1.2}, "generator.guidance_rescale = 1.2: it is a share from 0"),
        ({"guidance_rescale": -0.1}, "generator.guidance_rescale = -0.1: it is a share"),
        ({"guidance_rescale": float("nan")}, "generator.guidance_rescale = nan: it is a share"),
        (
            {"guidance_rescale": 0.5, "text_guidance": 1.0},
            "guidance_rescale = 0.5 has no effect at generator.text_guidance = 1.0",
        ),
        ({"scheduler": "PNDMSchedular"}, "did you mean 'PNDMScheduler'"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named_with_the_way_out(
    given: dict[str, Any], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        Img2Img(**given)


def test_nothing_is_rescaled_where_guidance_is_an_input(tmp_path: Path) -> None:
    folder = str(untrained.write("lcm", tmp_path / "lcm"))
    generator = Img2Img(checkpoint=folder, text_guidance=4.0, guidance_rescale=0.5, steps=4)
    with pytest.raises(UserError, match="takes its guidance as an input"):
        generator.make([Request(50, CAT, 0)], np.zeros((1, 64, 64, 3), np.uint8))
