"""Names, severities and strength of the corruptions of cifar10_lt."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from discl.config.renamed import check_split
from discl.core.errors import UserError
from discl.core.hashing import seed_of
from discl.engine.evaluation.confusion import predictions_digest
from discl.parts.datasets.cifar10.corruptions import FAMILIES, corrupt
from discl.parts.datasets.cifar10_lt import Cifar10LT

CIFAR_10_C = {
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
    "speckle_noise",
    "gaussian_blur",
    "spatter",
    "saturate",
}
PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "corruptions.md"
PHOTOS = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)


def test_no_name_is_one_of_cifar_10_c() -> None:
    assert not CIFAR_10_C & FAMILIES.keys()
    assert "jpeg" not in FAMILIES


@pytest.mark.parametrize("severity", [0, 6, -1])
def test_a_severity_outside_1_to_5_is_refused(severity: int) -> None:
    with pytest.raises(UserError, match=f"severity {severity} is not one of 1 to 5"):
        corrupt("haze", severity, PHOTOS, ["a", "b", "c"])


def test_an_unknown_corruption_is_refused() -> None:
    with pytest.raises(UserError, match="no corruption"):
        corrupt("fog", 1, PHOTOS, ["a", "b", "c"])


def test_a_name_of_0_1_is_refused_with_the_new_one() -> None:
    with pytest.raises(UserError, match="ood/fog-1 was renamed in 0.2; write ood/haze-1"):
        Cifar10LT().split("ood/fog-1")
    with pytest.raises(UserError, match="write ood/low_quality-3/acc"):
        check_split("ood/jpeg-3/acc")
    check_split("ood/night")


def test_the_noise_of_a_photo_is_that_of_0_1() -> None:
    photo = PHOTOS[0]
    rng = np.random.default_rng(seed_of("corruption", "gaussian_noise", 3, "a"))
    noisy = photo / 255.0 + rng.normal(0, 0.08, photo.shape)
    expected = (np.clip(noisy, 0, 1) * 255 + 0.5).astype(np.uint8)
    assert np.array_equal(corrupt("sensor_noise", 3, photo[None], ["a"])[0], expected)


def test_predictions_have_the_digest_they_had_under_the_names_of_0_1() -> None:
    from discl.core.renamed_splits import SPLITS, renamed

    old = {f"{split}/labels": np.arange(number) for number, split in enumerate(SPLITS)}
    assert predictions_digest(renamed(old)) == predictions_digest(old)
    other = {"ood/haze-1/labels": np.arange(3)}  # of another dataset: nothing is renamed
    assert predictions_digest(other) != predictions_digest({"ood/fog-1/labels": np.arange(3)})


@pytest.mark.slow(reason="corrupts 500 photos forty times")
def test_the_page_has_the_measured_strengths() -> None:
    script = PAGE.parents[2] / "benchmarks" / "perf" / "corruptions.py"
    table = runpy.run_path(str(script))["table"]
    for name, ratios in table(500).items():
        (line,) = [line for line in PAGE.read_text().splitlines() if line.startswith(f"| `{name}`")]
        assert re.findall(r"\d+\.\d", line) == [f"{ratio:.1f}" for ratio in ratios]
