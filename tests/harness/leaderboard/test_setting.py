"""What a table says of its conditions: what is hard, and what the generator had seen."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from discl.cli import main
from discl.config.load import load
from discl.core.errors import UserError
from discl.core.registry import bind
from discl.core.result import Result
from discl.files.weights import training_data
from discl.harness.hard.scope import scope
from discl.harness.leaderboard.setting import conditions, conditions_of, sampler_shares

ROOT = Path(__file__).parents[3]
PUBLISHED = sorted((ROOT / "leaderboards" / "results" / "cifar10_lt" / "smoke").glob("*.json"))
EMBEDDED = "2,500 labelled photos of every class of CIFAR-10, tail classes included"


@pytest.fixture(scope="module")
def with_images() -> Result:
    return next(each for path in PUBLISHED if "images" in (each := Result.read(path)).identity)


def _scope(counts: list[int], **parameters: object) -> str:
    rule = bind("hard_rules", "tail", parameters).build()
    return scope("tail", rule, np.array(counts), [f"class {label}" for label in range(len(counts))])


def test_the_scope_of_a_rule_is_counted_and_so_is_the_next_wider_one() -> None:
    assert _scope([300, 200, 100, 38, 23, 8]) == (
        "Images are made for 8 photos of 1 of 6 classes;"
        " max_class_images 20 -> 50 would take 69 of 3."
    )
    assert _scope([30, 12], max_class_images=20) == (
        "Images are made for 12 photos of 1 of 2 classes;"
        " max_class_images 20 -> 50 would take 42 of 2."
    )
    assert _scope([5, 3]) == "Images are made for 8 photos of 2 of 2 classes."
    assert "would take 510 of 2" in _scope(
        [500, 10, 4000], max_class_images=20, exclude=["class 2"]
    )


def test_a_rule_with_models_gives_only_its_number() -> None:
    rule = bind("hard_rules", "low_confidence", {"fraction": 0.1}).build()
    assert "10 of 100, which out-of-fold models choose" in scope(
        "low_confidence", rule, np.array([90, 10]), ["a", "b"]
    )
    asked = bind("hard_rules", "low_confidence", {"threshold": 0.1}).build()
    assert "an unknown number of 100" in scope(
        "low_confidence", asked, np.array([90, 10]), ["a", "b"]
    )


def test_published_results_say_what_their_generator_had_seen(with_images: Result) -> None:
    hard, seen = conditions([with_images])
    assert hard.startswith("Images are made for 26 photos of 3 of 10 classes;")
    assert EMBEDDED in seen
    assert (hard, seen) == conditions_of(load("cifar10_lt"))


def test_other_weights_count_as_unknown_unless_the_run_recorded_them(with_images: Result) -> None:
    images = with_images.identity["images"]
    generator = {**images["generator"], "weights": "0" * 16}
    identity = {**with_images.identity, "images": {**images, "generator": generator}}
    other = replace(with_images, identity=identity, provenance={})
    assert "is unknown" in conditions([other])[1]
    recorded = replace(other, provenance={**other.provenance, "training_data": "LAION-5B"})
    assert "had seen: LAION-5B" in conditions([recorded])[1]


def test_runs_without_images_say_nothing_of_a_generator(with_images: Result) -> None:
    identity = {key: value for key, value in with_images.identity.items() if key != "images"}
    assert conditions([replace(with_images, identity=identity)]) == ()
    real = load("cifar10_lt", settings=["strategies=['real_only']"])
    assert conditions_of(real) == ()


def test_a_checkpoint_says_itself_what_it_was_trained_on(tmp_path: Path) -> None:
    assert training_data(ROOT / "discl" / "assets" / "cifar10_diffusion") == EMBEDDED
    assert bind("generators", "img2img", {}).build().training_data == EMBEDDED
    assert training_data(tmp_path) == "unknown"
    (tmp_path / "training_data.toml").write_text('seen = "photos of birds"\n', "utf-8")
    assert training_data(tmp_path) == "photos of birds"
    (tmp_path / "training_data.toml").write_text("birds\n", "utf-8")
    with pytest.raises(UserError, match=r"training_data.toml does not say .* or remove it"):
        training_data(tmp_path)


def test_the_board_says_it() -> None:
    asked = ["cifar10_lt", "--published", "--format", "md"]
    board = CliRunner().invoke(main, ["leaderboard", *asked]).stdout
    assert "max_class_images 20 -> 50 would take 87 of 5" in board
    assert EMBEDDED in board


def test_what_the_sampler_gave_is_said_once_for_strategies_it_gave_the_same(
    with_images: Result,
) -> None:
    tail = {"many": 66, "medium": 4, "few": 30}
    photos = {"many": 88, "medium": 10, "few": 2}
    given = {"static": tail, "reverse": tail, "real_only": photos, "old": {}}
    results = [
        replace(with_images, strategy=name, seen_by_group=groups) for name, groups in given.items()
    ]
    assert sampler_shares(results) == (
        "Of all training images the sampler gave classes: 30 % few-shot and 4 % medium; 2 %"
        " few-shot and 10 % medium under real_only.",
    )
    assert sampler_shares(results[-1:]) == ()
    assert "seen_by_group" not in results[-1].to_json()  # as it was written before
