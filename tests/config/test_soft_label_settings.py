"""Soft labels in a benchmark's settings: what is refused before work, and what an id holds."""

from typing import Any

import pytest

from discl.config.experiment import experiments
from discl.config.load import load
from discl.core.errors import UserError

CLIP = ["backbone={name='open_clip', head='text'}", "loss={name='flyp'}"]
DIFFMIX = "prompts.name=diffmix"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ([*CLIP, DIFFMIX], "loss 'flyp' learns one class of each image, and prompts.name ="),
        ([*CLIP, "train.mixup=0.2"], "and train.mixup = 0.2 mixes images; take another loss"),
        ([*CLIP, "train.cutmix=1.0"], "and train.cutmix = 1 mixes images"),
        (["sampling.soft_label_power=1.0"], "has no effect with prompts.name = 'dataset'"),
        ([DIFFMIX, "sampling.soft_label_power=0"], "soft_label_power"),
    ],
)
def test_labels_that_cannot_be_learned_are_refused_before_work(
    settings: list[str], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        load("cifar10_lt", settings=settings)


def _identities(*settings: str) -> Any:
    strategies = "strategies=['static', 'real_only']"
    spec = load("cifar10_lt", settings=[strategies, "seeds=[0]", *settings])
    return [each.identity() for each in experiments(spec)]


def test_the_power_is_no_part_of_an_identity_while_it_is_the_default() -> None:
    static, real = _identities(DIFFMIX)
    plain, real_of_plain = _identities()
    assert "soft_label_power" not in static["sampling"]
    assert static["images"]["prompts"]["name"] == "diffmix"
    assert (static["sampling"], real) == (plain["sampling"], real_of_plain)
    assert _identities(DIFFMIX, "sampling.soft_label_power=1.0")[0]["sampling"] == {
        **static["sampling"],
        "soft_label_power": 1.0,
    }
