"""A benchmark is priced on a GPU that is not here, from configuration files alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from discl.cli.render.price import hours
from discl.config.load import load
from discl.core.errors import UserError
from discl.core.progress import no_progress
from discl.engine.bank.filling import MOST_WASTE
from discl.files.disk import home, resource
from discl.harness.price.bank import LevelPrice, filling
from discl.harness.price.checkpoints import Networks, UnknownWorkError, config_of, shipped_ids
from discl.harness.price.denoisers import DenoiserInput, denoised, kind_of
from discl.harness.price.estimate import price
from discl.harness.price.generator import GeneratorWork, SamplingShape
from discl.harness.price.gpus import Gpu, Price, custom_gpu, find_gpu, known_gpus, priced
from discl.harness.price.photos import photo_counts
from discl.harness.price.work import NetworkWork, counted
from discl.parts.generators.base.families import FAMILIES
from discl.testing import flow_checkpoints

SHIPPED = "pkg://discl/assets/cifar10_diffusion"
SMALL = SamplingShape((32, 32), 12, True, "float32", 32, True, False)


def no_weights(tmp_path: Path) -> Path:
    """The shipped generator's folder, its configuration files alone."""
    folder = tmp_path / "generator"
    shutil.copytree(
        resource(SHIPPED), folder, ignore=shutil.ignore_patterns("*.safetensors", "tokenizer")
    )
    return folder


def test_flops_are_what_torch_counts_on_the_real_networks() -> None:
    from diffusers import AutoencoderKL, UNet2DConditionModel

    config = config_of(SHIPPED)
    meta = GeneratorWork(Networks(config), SMALL)
    own = {k: v for k, v in config.networks["unet"].items() if not k.startswith("_")}
    unet = UNet2DConditionModel.from_config(own).eval()
    channels, height, width = 16, 8, 8
    # torch counts no attention that a fused kernel of CPUs computes, and all that is spelt out
    with FlopCounterMode(display=False) as real, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        unet(
            torch.randn(1, channels, height, width),
            torch.ones(1),
            encoder_hidden_states=torch.randn(1, 77, own["cross_attention_dim"]),
        )
    assert meta.denoise.flops == 2 * real.get_total_flops()  # with and without the prompt

    coder = AutoencoderKL(block_out_channels=(32, 32)).eval()
    with torch.device("meta"):
        coder_on_meta = AutoencoderKL(block_out_channels=(32, 32)).eval()
        pixels = torch.empty(1, 3, 32, 32)
    with FlopCounterMode(display=False) as real, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        coder(torch.randn(1, 3, 32, 32))
    assert counted(lambda: coder_on_meta(pixels)).flops == real.get_total_flops()


@pytest.mark.parametrize(
    "family", ["stable_diffusion_3", "flux_dev", "chroma", "qwen_image", "z_image"]
)
def test_flops_of_a_transformer_are_what_torch_counts_on_a_real_one(family: str) -> None:
    real = getattr(flow_checkpoints, family)(1).transformer.eval()
    kind = kind_of(type(real).__name__)
    assert kind is not None
    given = DenoiserInput((flow_checkpoints.LATENTS, 8, 12), (), 32)
    with FlopCounterMode(display=False) as flops, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        kind.call(real, given, 2, torch.float32)
    with torch.device("meta"):
        on_meta = type(real).from_config(real.config).eval()
    with torch.no_grad():
        work = counted(lambda: denoised(on_meta, given, 2, torch.float32))
    assert work.flops == flops.get_total_flops() > 0


def test_every_configuration_that_ships_is_of_a_known_family() -> None:
    for checkpoint in shipped_ids():
        config = config_of(checkpoint)
        name = FAMILIES[config.pipeline].denoiser_name
        kind = str(config.networks[name]["_class_name"])
        assert config.latents_side in (64, 96, 128)
        assert kind == "UNet2DConditionModel" if name == "unet" else kind_of(kind)


@pytest.mark.slow(reason="builds networks of billions of weights on meta tensors, 10 s")
@pytest.mark.parametrize(
    ("checkpoint", "weights"),
    [
        ("black-forest-labs/FLUX.1-dev", 11_901_408_320),
        ("black-forest-labs/FLUX.1-schnell", 11_891_178_560),
        ("stabilityai/stable-diffusion-3.5-large", 8_056_627_520),
        ("Qwen/Qwen-Image", 20_430_401_088),
        ("Tongyi-MAI/Z-Image-Turbo", 6_154_908_736),
    ],
)
def test_transformers_are_priced_without_weights(checkpoint: str, weights: int) -> None:
    networks = Networks(config_of(checkpoint))
    assert sum(each.numel() for each in networks.denoiser.parameters()) == weights
    work = GeneratorWork(networks, SamplingShape((256, 256), 28, True, "bfloat16", 8, True, True))
    calls = 1 if "FLUX" in checkpoint else 2  # which takes its guidance as an input, or none
    tokens = 16 * 16  # of an image, without those of the prompt
    # a weight multiplies the tokens of the image, or those of the prompt, or of neither
    assert calls * weights * tokens / 2 < work.denoise.flops < calls * 4 * weights * (tokens + 512)
    assert 0 < work.encode.flops < work.decode.flops < work.denoise.flops
    assert 0 < work.embed.flops < work.denoise.flops


def test_flops_of_a_step_are_what_torch_counts_forward_and_backward() -> None:
    from discl.harness.price.classifier import ClassifierWork

    spec = load("cifar10_lt", "smoke")
    backbone = spec.part("backbones").build()
    work = ClassifierWork(spec, backbone, 10, 32)
    real = backbone.network(10, 0)
    side = spec.train.side or spec.train.crop or 32
    with FlopCounterMode(display=False) as flops:
        real(torch.randn(2, 3, side, side)).sum().backward()
    assert 2 * work.passes.trained.flops == flops.get_total_flops()
    assert work.step_flops() == spec.train.batch / 2 * flops.get_total_flops()


def test_a_price_needs_neither_weights_nor_photos(tmp_path: Path) -> None:
    spec = load("cifar10_lt", "smoke", [f"generator.checkpoint={no_weights(tmp_path)}"])
    plan = price(spec, find_gpu("h200"), count=2)
    assert plan.bank is not None
    assert plan.training is not None
    assert plan.unknown == ()
    assert [level.level for level in plan.bank.levels] == sorted(
        level.level for level in plan.bank.levels
    )
    assert plan.bank.images == len(plan.bank.levels) * plan.photos.hard * spec.bank.variants
    assert plan.bank.loop_hours > 2 * plan.bank.hours > 0
    assert 0 < plan.hours < plan.gpu_hours
    assert plan.cost.endswith("USD")
    assert len(plan.training.strategies) == len(spec.strategies)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_what_the_settings_decide_is_counted_as_the_photos_would_be() -> None:
    iwildcam = photo_counts(load("iwildcam", "paper"))
    assert (iwildcam.hard, iwildcam.train, iwildcam.classes) == (8_260, 129_809, 182)
    imagenet = photo_counts(load("imagenet_lt", "paper"))
    assert imagenet.hard * 8 * 4 == 52_576
    tail = photo_counts(load("cifar100_lt", "paper"))
    assert tail.splits["train"] == 10_827


@pytest.mark.parametrize("name", ["cifar10_lt", "cifar10_cams"])
def test_counts_that_are_known_before_the_photos_are_theirs(name: str) -> None:
    dataset = load(name, "smoke").part("datasets").build()
    known = dataset.known_photos()
    dataset.prepare(no_progress)
    assert known.splits == {split: len(dataset.split(split)) for split in dataset.splits}
    assert known.train == tuple(np.bincount(dataset.split("train").labels))


def test_photos_that_nothing_counts_are_asked_for() -> None:
    spec = load("iwildcam", "smoke")
    with pytest.raises(UserError, match="--hard-photos N"):
        photo_counts(spec)
    assert photo_counts(spec, 300).hard == 300
    with pytest.raises(UserError, match="takes 0 to 129,809"):
        photo_counts(spec, 200_000)


def test_more_workers_than_memory_are_refused_with_how_many_fit(tmp_path: Path) -> None:
    spec = load("cifar10_lt", "smoke", [f"generator.checkpoint={no_weights(tmp_path)}"])
    with pytest.raises(UserError, match=r"--workers 99: .* \d\d fit"):
        price(spec, find_gpu("l4"), workers=99)


def test_a_checkpoint_of_an_unknown_family_has_no_price(tmp_path: Path) -> None:
    folder = no_weights(tmp_path)
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"_class_name": "LuminaPipeline"}))
    spec = load("cifar10_lt", "smoke", [f"generator.checkpoint={folder}"])
    plan = price(spec, find_gpu("h200"))
    assert plan.bank is None
    assert "LuminaPipeline, a family whose work is not known" in plan.unknown[0]
    assert plan.cost == ""
    with pytest.raises(UnknownWorkError, match=r"--include '\*.json'"):
        config_of("somebody/something-new")


def test_a_checkpoint_folder_without_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="model_index.json, so what it computes is not known"):
        config_of(str(tmp_path))
    with pytest.raises(UserError, match="no such folder"):
        config_of(str(tmp_path / "nowhere"))


def test_a_price_names_a_currency_or_takes_that_of_the_list() -> None:
    gpu, unpriced = find_gpu("h200"), custom_gpu(100, 900, 24)
    assert priced(gpu, None).price == gpu.price
    assert str(priced(gpu, "3.5 EUR").price).count("EUR") == 1
    assert priced(gpu, "$2").price.of(3) == "6.00 USD"  # type: ignore[union-attr]
    assert priced(gpu, "2").price.currency == "USD"  # type: ignore[union-attr]
    with pytest.raises(UserError, match="has no currency"):
        priced(unpriced, "2")
    assert priced(gpu, "chf 2").price.of(3) == "6.00 CHF"  # type: ignore[union-attr]
    with pytest.raises(UserError, match="is no price"):
        priced(gpu, "cheap")
    with pytest.raises(UserError, match=r"'3.5 XYZ': XYZ is no currency of ISO 4217; write its"):
        priced(gpu, "3.5 XYZ")


def test_a_gpu_that_is_not_listed_names_those_that_are_and_may_be_added() -> None:
    with pytest.raises(UserError, match="a100, h100, h200, l4, mps, rtx4090"):
        find_gpu("h300")
    assert find_gpu("RTX 4090").memory == 24
    home().mkdir(parents=True, exist_ok=True)
    own = home() / "gpus.toml"
    own.write_text("[mine]\nbf16 = 50\ntf32 = 25\nfp32 = 10\nbandwidth = 500\nmemory = 12\n")
    assert known_gpus()["mine"].price is None
    own.write_text("[mine]\nbf16 = 50\nprice = 2\n")
    with pytest.raises(UserError, match=r"\[mine\] has no tf32"):
        known_gpus()
    with pytest.raises(UserError, match="--memory missing"):
        custom_gpu(100, 900, None)
    with pytest.raises(UserError, match="--tflops = -1"):
        custom_gpu(-1, 900, 24)


def test_seconds_are_those_of_what_is_waited_for() -> None:
    gpu = Gpu("mine", "mine", 100, 50, 10, 1000, 24, "here")
    assert gpu.seconds(NetworkWork(0, 1e12, 10, 0), "float16") == pytest.approx(1e12 / 100e12 / 0.5)
    assert gpu.seconds(NetworkWork(0, 1e12, 10, 0), "float32") == pytest.approx(1e12 / 10e12 / 0.5)
    convolving = NetworkWork(1e12, 0, 10, 0)
    assert gpu.seconds(convolving, "float32") == pytest.approx(1e12 / 50e12 / 0.5)
    assert gpu.seconds(convolving, "float32", tf32=False) == pytest.approx(1e12 / 10e12 / 0.5)
    assert gpu.seconds(NetworkWork(0, 1, 1000, 0), "float16") == pytest.approx(0.025)
    assert gpu.seconds(NetworkWork(0, 1, 1, 10**9), "float16") == pytest.approx(2 / 1000)


def test_groups_that_are_filled_up_are_counted_in() -> None:
    def levels(each: float, *steps: int) -> list[LevelPrice]:
        return [LevelPrice(10 * at, n, 4 * 1000, 1.0, each, 1.0) for at, n in enumerate(steps)]

    assert filling(levels(0.01, 4, 2), photos=1000, chunk=4, batch=32) == 0
    # leases of few images, as the pace is: never worse than the builder lets it be
    assert 0 < filling(levels(1.0, 4, 3, 2), photos=1000, chunk=7, batch=64) <= MOST_WASTE
    # 8 images are all there are: of the two levels 2 steps of 4 and 2 of 8, in groups of 64
    few = [LevelPrice(0, 4, 4, 1.0, 0.1, 1.0), LevelPrice(50, 2, 4, 1.0, 0.1, 1.0)]
    assert filling(few, photos=1, chunk=64, batch=256) == pytest.approx(4 * 64 / 24 - 1)
    assert filling([], photos=0, chunk=4, batch=4) == 0


def test_what_costs_little_is_not_told_as_nothing() -> None:
    hourly = Price(3.5, "USD", "here")
    assert [hourly.of(each) for each in (0, 1e-4, 2, 20)] == [
        "0.00 USD", "under 0.01 USD", "7.00 USD", "70 USD",
    ]  # fmt: skip
    assert [hours(each) for each in (0, 1e-4, 0.01, 2)] == ["0 s", "under 1 s", "36 s", "2.0 h"]
    with pytest.raises(UserError, match="is nothing; give an amount above 0"):
        priced(find_gpu("h200"), "0 USD")
