from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from discl.core.errors import UserError
from discl.core.registry import bind
from discl.files.disk import resource
from discl.files.weights import TRAINING_DATA
from discl.miniature import autoencoder
from discl.miniature.camera import RETAKE, retaken
from discl.miniature.card import model_card
from discl.miniature.generators import GENERATORS, from_scratch
from discl.miniature.make import training_record
from discl.miniature.measure import reports_in
from discl.miniature.pictures import to_signal
from discl.miniature.training import Recipe, batches, train
from discl.miniature.words import CONTEXT, build_tokenizer, captions
from discl.parts.datasets.cifar10.photos import CLASSES
from discl.parts.datasets.cifar10_lt import Cifar10LT
from discl.parts.generators._patches import PatchAutoencoder

RECIPE = Recipe(steps=20, batch=8, lr=1e-2, warmup=2, ema=0.9, precision="fp32")
DATA = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))


def _train(folder: Path, stop_at: int | None = None) -> nn.Linear:
    torch.manual_seed(0)
    network = nn.Linear(3, 1)

    def loss_of(rows: np.ndarray, noise: torch.Generator) -> dict[str, torch.Tensor]:
        return {
            "loss": (network(DATA[rows] + 0.1 * torch.randn(len(rows), 3, generator=noise)) - 1)
            .square()
            .mean()
        }

    for report in train(
        network,
        loss_of,
        len(DATA),
        RECIPE,
        folder,
        torch.device("cpu"),
        save_every_s=0,
        log_every=1,
    ):
        if report.step == stop_at:
            break
    return network


def test_training_stopped_and_resumed_is_training_undisturbed(tmp_path: Path) -> None:
    whole = _train(tmp_path / "whole")
    _train(tmp_path / "parts", stop_at=7)
    resumed = _train(tmp_path / "parts")
    assert torch.equal(whole.weight, resumed.weight)
    assert torch.equal(whole.bias, resumed.bias)


def test_a_saved_state_of_another_recipe_is_refused(tmp_path: Path) -> None:
    _train(tmp_path)
    with pytest.raises(ValueError, match="another recipe"):
        list(
            train(
                nn.Linear(3, 1),
                lambda *_: {},
                40,
                replace(RECIPE, lr=1.0),
                tmp_path,
                torch.device("cpu"),
            )
        )


def test_an_epoch_shows_every_row_once() -> None:
    rows = [row for _, chosen in batches(40, replace(RECIPE, steps=5), 0) for row in chosen]
    assert sorted(rows) == list(range(40))


def test_captions_fit_and_differ_and_any_text_is_accepted() -> None:
    tokenizer = build_tokenizer(list(CLASSES))
    written = [
        tuple(tokenizer(caption).input_ids)
        for group in captions(list(CLASSES))
        for caption in group
    ]
    assert max(map(len, written)) <= CONTEXT
    assert len(set(written)) == len(written)
    assert tokenizer.unk_token_id not in tokenizer("zebra, naïve ☃").input_ids[1:-1]


def test_patches_survive_the_autoencoder() -> None:
    pool, test = Cifar10LT().split("pool").pixels[:2000], Cifar10LT().split("test").pixels[:200]
    vae = autoencoder.fit(pool)
    signal = to_signal(test, torch.device("cpu"))
    with torch.no_grad():
        latents = vae.encode(signal).latents
        error = (vae.decode(latents).sample - signal).square().mean() / 4
    assert latents.shape == (200, 16, 8, 8)
    assert 0.8 < float(latents.std()) < 1.2
    assert -10 * np.log10(float(error)) > 32  # dB


def test_what_is_shipped_is_small_safe_and_described() -> None:
    assets = resource("pkg://discl/assets")
    files = [path for path in assets.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 28_000_000
    assert {path.suffix for path in files} <= {
        ".safetensors",
        ".json",
        ".txt",
        ".md",
        ".png",
        ".toml",
    }
    assert {path.parent.name for path in assets.rglob(TRAINING_DATA)} == {
        embedded.folder for embedded in GENERATORS.values()
    }
    settings = [path.read_text("utf-8") for path in assets.rglob("config.json")]
    assert not [text for text in settings if "_name_or_path" in text]
    reports = reports_in(assets)
    for name, embedded in GENERATORS.items():
        record = assets / embedded.folder / TRAINING_DATA
        assert record.read_text("utf-8") == training_record(embedded.seen)
        assert reports[name]["seen"] == embedded.seen
    assert (assets / "README.md").read_text("utf-8") == model_card(reports)


def test_the_card_of_the_gap_generator_says_that_it_had_seen_the_photos_as_they_are() -> None:
    reports = reports_in(resource("pkg://discl/assets"))
    gap = GENERATORS["gap"]
    assert reports["gap"]["start"] == gap.start == GENERATORS["in_domain"].folder
    assert reports["gap"]["recipes"]["denoiser"] == asdict(gap.recipe)
    said = "from the weights of `in_domain`, so it has seen the pool's photos as they are first"
    assert said in " ".join(model_card(reports).split())
    clean = from_scratch(gap)
    reports["gap"] |= {"start": clean.start}
    assert "**What it had seen.** Only the retaken photos." in model_card(reports)
    assert "as they are" not in clean.seen


def test_the_generators_are_chosen_by_name_and_told_apart_by_their_weights() -> None:
    chosen = {
        name: bind("generators", "img2img", {"checkpoint": name}).build() for name in GENERATORS
    }
    default = bind("generators", "img2img", {}).build()
    assert chosen["in_domain"].identity() == default.identity()
    assert chosen["gap"].identity() != default.identity()
    assert chosen["gap"].training_data == GENERATORS["gap"].seen
    # photos of the pool would not be new to either of them
    assert chosen["gap"].trained_on == chosen["in_domain"].trained_on != frozenset()


def test_a_generator_of_no_name_is_refused_with_the_names() -> None:
    nameless = bind("generators", "img2img", {"checkpoint": "gapp"}).build()
    with pytest.raises(UserError, match=r"'gapp': no such folder; .* or one of in_domain, gap$"):
        nameless.identity()


def test_a_retaken_photo_is_zoomed_and_warm_and_the_same_each_time() -> None:
    photos = np.zeros((3, 32, 32, 3), np.uint8)
    photos[:, 10:22, 10:22] = 160  # a grey square of 12 pixels in the middle
    taken = retaken(photos)
    assert taken.shape == photos.shape
    assert np.array_equal(taken, retaken(photos))
    widths = (taken[:, 16] > 80).any(2).sum(1)
    assert (widths >= 12 / RETAKE.window[1] - 2).all()
    assert (widths <= 12 / RETAKE.window[0] + 2).all()
    red, _, blue = np.moveaxis(taken[:, 16, 16].astype(int), 1, 0)
    assert (red > blue + 20).all()


def test_what_is_drawn_for_a_picture_does_not_depend_on_those_after_it() -> None:
    photos = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    assert np.array_equal(retaken(photos)[:2], retaken(photos[:2]))


def test_the_shipped_autoencoder_was_fitted_on_the_pool() -> None:
    shipped = PatchAutoencoder.from_pretrained(resource("pkg://discl/assets/cifar10_diffusion/vae"))
    fitted = autoencoder.fit(Cifar10LT().split("pool").pixels)
    assert torch.allclose(shipped.encoder.weight, fitted.encoder.weight.half().float(), atol=2e-3)
    other = autoencoder.load(resource("pkg://discl/assets/cifar10_diffusion_gap"))
    assert torch.equal(shipped.decoder.weight.float(), other.decoder.weight)
