"""Words are learned by text encoders alone, the same wherever training was stopped."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from discl.core.errors import UserError
from discl.core.registry import bind
from discl.harness.embed.inversion import InversionRecipe, WordTrainer
from discl.testing import untrained

PHOTOS = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
RECIPE = InversionRecipe(steps=4, batch=1, lr=1e-2)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """By kind, the folder of a checkpoint that is written on first use."""
    return cache(lambda kind: untrained.write(kind, tmp_path_factory.mktemp(kind)))


def _family(folder: Path) -> Any:
    return bind("generators", "img2img", {"checkpoint": str(folder), "steps": 4}).build().family


def _trainer(folder: Path, recipe: InversionRecipe = RECIPE, word: str = "<tom>") -> WordTrainer:
    return WordTrainer(_family(folder), word, "cat", PHOTOS, recipe)


def _weights(family: Any) -> dict[str, Any]:
    networks = (family.vae, family.denoiser, family.pipeline.text_encoder)
    return {
        f"{place} {name}": value.clone()
        for place, network in enumerate(networks)
        for name, value in network.state_dict().items()
    }


def test_a_word_is_learned_and_no_weight_is_changed(folders: Any, tmp_path: Path) -> None:
    trainer = _trainer(folders("sd"))
    before = _weights(trainer.family)
    losses = list(trainer.train())
    assert trainer.step == RECIPE.steps == len(losses)
    after = _weights(trainer.family)
    assert all(torch.equal(before[name], after[name]) for name in before)
    # what it was asked at the first step it answers better than at first
    trainer.restore({**trainer.state(), "step": np.array(0)})
    assert next(trainer.train()) < losses[0]
    # diffusers reads what is written
    save_file(trainer.vectors(), tmp_path / "tom.safetensors")
    pipeline = _family(folders("sd")).pipeline
    pipeline.load_textual_inversion(str(tmp_path), weight_name="tom.safetensors")
    number = pipeline.tokenizer.convert_tokens_to_ids("<tom>")
    row = pipeline.text_encoder.get_input_embeddings().weight[number]
    assert torch.equal(row, trainer.vectors()["<tom>"])


@pytest.mark.parametrize(
    "kind",
    [
        "sd",
        pytest.param("sdxl", marks=pytest.mark.slow(reason="sd shows it for one text encoder")),
    ],
)
def test_a_word_is_the_same_bit_for_bit_where_training_was_stopped(kind: str, folders: Any) -> None:
    straight = _trainer(folders(kind))
    list(straight.train())
    stopped = _trainer(folders(kind))
    for _ in zip(range(2), stopped.train(), strict=False):
        pass
    state = stopped.state()
    resumed = _trainer(folders(kind))
    resumed.restore(state)
    assert resumed.step == 2
    list(resumed.train())
    ours, theirs = resumed.vectors(), straight.vectors()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_word_does_not_depend_on_those_learned_before_it(folders: Any) -> None:
    family = _family(folders("sd"))
    recipe = InversionRecipe(steps=2, batch=1, lr=1e-2)
    for token in ("<tom>", "<rex>"):
        together = WordTrainer(family, token, "cat", PHOTOS, recipe)
        list(together.train())
    alone = _trainer(folders("sd"), recipe, "<rex>")
    list(alone.train())
    assert torch.equal(alone.vectors()["<rex>"], together.vectors()["<rex>"])
    with pytest.raises(UserError, match=r"knows the word '<tom>' already"):
        WordTrainer(family, "<tom>", "cat", PHOTOS, recipe)


@pytest.mark.slow(reason="the order of vectors of two text encoders, which sd has not")
def test_a_word_of_two_text_encoders_has_a_vector_for_each(folders: Any) -> None:
    trainer = _trainer(folders("sdxl"), InversionRecipe(steps=1, batch=1))
    before = trainer.vectors()
    list(trainer.train())
    after = trainer.vectors()
    assert {name: tuple(value.shape) for name, value in after.items()} == {
        "clip_l": (1, untrained.WIDTH),
        "clip_g": (1, untrained.WIDTH),
    }
    assert not any(torch.equal(before[name], after[name]) for name in after)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"steps": 0}, "--steps 0: takes at least 1"),
        ({"batch": 0}, "--batch 0"),
        ({"lr": 0.0}, "--lr 0.0: takes a rate above 0"),
        ({"template": "a photo of a cat"}, "write {token} once"),
    ],
)
def test_a_recipe_that_trains_nothing_is_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        InversionRecipe(**given).check()


def test_a_checkpoint_without_such_noise_is_refused(folders: Any) -> None:
    family = _family(folders("sd"))
    family.pipeline.scheduler = object.__new__(type("FlowScheduler", (), {"config": {}}))
    with pytest.raises(UserError, match="learns no words here"):
        WordTrainer(family, "<tom>", "cat", PHOTOS, RECIPE)
