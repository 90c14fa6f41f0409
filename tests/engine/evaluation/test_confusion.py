import numpy as np
import pytest

from discl.core.errors import UserError
from discl.engine.evaluation.confusion import (
    count,
    count_predictions,
    pack,
    pack_all,
    predictions_digest,
    unpack,
    unpack_all,
)
from discl.engine.evaluation.metrics import metrics_of, sampling_errors
from tests.metrics import DEFAULT, all_metrics

RNG = np.random.default_rng(0)
COUNTS = np.array([200, 50, 5])


def _predictions(groups: bool = False) -> dict[str, np.ndarray]:
    saved = {}
    for split in ("val", "test", "ood/fog-1"):
        saved[f"{split}/logits"] = RNG.normal(size=(300, 3)).astype(np.float32)
        saved[f"{split}/labels"] = RNG.integers(0, 3, 300)
        if groups:
            saved[f"{split}/groups"] = RNG.integers(0, 4, 300)
    return saved


@pytest.mark.parametrize("groups", [False, True])
def test_a_result_file_gives_every_metric_again(groups: bool) -> None:
    saved = _predictions(groups)
    stored = pack_all(count_predictions(saved, COUNTS))
    assert metrics_of(unpack_all(stored), COUNTS, DEFAULT) == all_metrics(saved, COUNTS)
    assert set(stored["test"]) == {"", "adjusted_"}


def test_nothing_is_adjusted_where_training_corrected_the_prior() -> None:
    stored = pack_all(count_predictions(_predictions(), COUNTS, adjusted=False))
    assert set(stored["test"]) == {""}
    measured = metrics_of(unpack_all(stored), COUNTS, DEFAULT)
    assert "test/macro_acc" in measured
    assert not [name for name in measured if "adjusted_" in name]


@pytest.mark.parametrize(
    "text", ["?", "AAAA", pack(count("test", "", None, np.array([0]), np.array([1])))[:-8]]
)
def test_what_was_not_packed_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="confusion counts of test cannot be read"):
        unpack("test", "", text)


def test_the_digest_sees_every_number_and_no_order() -> None:
    saved = _predictions()
    assert predictions_digest(saved) == predictions_digest(dict(reversed(saved.items())))
    changed = {**saved, "test/labels": saved["test/labels"] + (np.arange(300) == 7)}
    assert predictions_digest(changed) != predictions_digest(saved)


def test_sampling_errors_are_those_of_the_binomial() -> None:
    truth = np.repeat([0, 1], 400)
    guess = np.concatenate([np.repeat([0, 1], [300, 100]), np.repeat([0, 1], [200, 200])])
    called = [count("test", "", None, truth, guess), count("val", "", None, truth, guess)]
    errors = sampling_errors(called, ["test"], np.array([200, 5]), DEFAULT, draws=2000)
    assert errors["test/acc"] == pytest.approx((0.625 * 0.375 / 800) ** 0.5, rel=0.06)
    assert errors["test/few_acc"] == pytest.approx((0.25 / 400) ** 0.5, rel=0.06)
    assert not any(key.startswith("val/") for key in errors)
