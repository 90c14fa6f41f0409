from hypothesis import given
from hypothesis import strategies as some

from discl.core.dashboard_rows import DashboardRows, best_and_last, flat, truncated
from discl.core.interfaces import EpochReport


def _report(epoch: int, **more: object) -> EpochReport:
    plain: dict[str, object] = {
        "mix": {0: 0.25, 100: 0.75},
        "seen": {0: 10, 100: 30},
        "steps": 4,
        "lr": 0.1,
        "seconds": 2.0,
        "values": {},
    }
    return EpochReport(epoch=epoch, **{**plain, **more})  # type: ignore[arg-type]


def test_a_row_names_levels_so_that_they_sort_and_says_how_fast_it_went() -> None:
    row = DashboardRows().of(_report(0, gains={0: -0.5}, loss=1.5, values={"val/acc": 0.25}))
    assert row == {
        "epoch": 0,
        "train/lr": 0.1,
        "train/steps": 4,
        "cost/epoch_seconds": 2.0,
        "train/loss": 1.5,
        "train/images_per_second": 20.0,
        "mix/level_000": 0.25,
        "mix/level_100": 0.75,
        "mix/mean_level": 75.0,
        "mix/real_phase": 0.0,
        "gain/level_000": -0.5,
        "seen/level_000": 10,
        "seen/level_100": 30,
        "seen_so_far/level_000": 10,
        "seen_so_far/level_100": 30,
        "val/acc": 0.25,
    }


def test_images_add_up_over_epochs_and_a_level_that_rests_keeps_its_sum() -> None:
    rows = DashboardRows()
    rows.of(_report(0))
    row = rows.of(_report(1, mix={100: 1.0}, seen={100: 40}))
    assert (row["seen_so_far/level_000"], row["seen_so_far/level_100"]) == (10, 70)
    assert "seen/level_000" not in row


def test_what_each_group_of_classes_was_given_stands_beside_the_levels() -> None:
    row = DashboardRows().of(_report(0, seen_by_group={"many": 30, "medium": 0, "few": 10}))
    assert (row["seen/many"], row["seen/medium"], row["seen/few"]) == (30, 0, 10)


def test_what_was_not_measured_has_no_key() -> None:
    row = DashboardRows().of(_report(0, seconds=0.0))
    assert not {"train/loss", "train/images_per_second"} & row.keys()
    assert not any(key.startswith(("val/", "gain/")) for key in row)


def test_best_and_last_skip_epochs_that_measured_nothing() -> None:
    told = [{"epoch": 0, "val/acc": 0.5}, {"epoch": 1}, {"epoch": 2, "val/acc": 0.25}, {"epoch": 3}]
    assert best_and_last(told) == {"best/acc": 0.5, "last/acc": 0.25}


def test_a_tree_is_flat_with_dotted_names() -> None:
    assert flat({"train": {"lr": 1, "more": {"deep": 2}}, "empty": {}, "list": [1]}) == {
        "train.lr": 1,
        "train.more.deep": 2,
        "empty": {},
        "list": [1],
    }


@given(some.text(), some.integers(1, 40))
def test_shortened_text_fits_and_a_short_one_stays(text: str, most: int) -> None:
    assert len(truncated(text, most)) <= most
    assert len(text) > most or truncated(text, most) == text
