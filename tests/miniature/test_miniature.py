import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from discl.files.disk import resource
from discl.files.weights import TRAINING_DATA
from discl.miniature import autoencoder
from discl.miniature.card import model_card
from discl.miniature.make import training_record
from discl.miniature.pictures import to_signal
from discl.miniature.training import Recipe, batches, train
from discl.miniature.words import CONTEXT, build_tokenizer, captions
from discl.parts.datasets.cifar10.photos import CLASSES, SEEN
from discl.parts.datasets.cifar10_lt import Cifar10LT
from discl.parts.generators._patches import PatchAutoencoder

RECIPE = Recipe(steps=20, batch=8, lr=1e-2, warmup=2, ema=0.9, precision="fp32")
DATA = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))


def _train(folder: Path, stop_at: int | None = None) -> nn.Module:
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
    assert sum(path.stat().st_size for path in files) <= 16_000_000
    assert {path.suffix for path in files} <= {
        ".safetensors",
        ".json",
        ".txt",
        ".md",
        ".png",
        ".toml",
    }
    (record,) = assets.rglob(TRAINING_DATA)
    assert record.read_text("utf-8") == training_record(SEEN)
    report = json.loads((assets / "retention.json").read_text("utf-8"))
    assert (assets / "README.md").read_text("utf-8") == model_card(report)


def test_the_shipped_autoencoder_was_fitted_on_the_pool() -> None:
    shipped = PatchAutoencoder.from_pretrained(resource("pkg://discl/assets/cifar10_diffusion/vae"))
    fitted = autoencoder.fit(Cifar10LT().split("pool").pixels)
    assert torch.allclose(shipped.encoder.weight, fitted.encoder.weight.half().float(), atol=2e-3)
