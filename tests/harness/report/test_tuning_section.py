"""The report's section on tuning, over studies that the tuner itself wrote."""

import pytest

from discl.harness.report.page import page
from discl.harness.report.section import draw_section
from discl.harness.report.tuning import tuning_section
from tests.reports import comparison_of
from tests.studies import REAL, STATIC, sweep_file, tune


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    address = f"sqlite:///{tmp_path_factory.mktemp('studies')}/studies.db"
    tune(sweep_file(12, pruner="none", seeds=[0]), address)
    return address


def test_studies_of_the_benchmark_are_told_with_their_history_and_what_mattered(url: str) -> None:
    notes: list[str] = []
    found = tuning_section(url, "cifar10_lt", "smoke", None, notes)
    assert found is not None
    assert not notes
    assert [study.name for study in found.studies] == [REAL, STATIC]
    assert all(study.trials == 12 for study in found.studies)
    assert "train.lr = " in found.studies[1].settings
    mine = [row for row in found.tables["trials"] if row["study"] == STATIC]
    assert [row["trial"] for row in mine] == [*range(12)]
    best = [row["best"] for row in mine]
    assert best == sorted(best)
    assert best[-1] == max(row["value"] for row in mine)
    assert float(found.studies[1].best) == pytest.approx(best[-1], abs=0.06)  # percent
    shares = {
        row["path"]: row["share"] for row in found.tables["importance"] if row["study"] == STATIC
    }
    assert (
        max(shares, key=lambda path: shares[path]) == "train.lr"
    )  # the one setting the outcomes depend on
    assert sum(shares.values()) == pytest.approx(100, abs=0.1)


def test_a_study_can_be_picked_and_an_unknown_one_is_said(url: str) -> None:
    notes: list[str] = []
    picked = tuning_section(
        url, "cifar10_lt", "smoke", "tune_static/cifar10_lt/smoke/static", notes
    )
    assert picked is not None
    assert [study.name for study in picked.studies] == [STATIC]
    assert tuning_section(url, "cifar10_lt", "smoke", "nothing", notes) is None
    assert notes[0].startswith("no tuning: no study called 'nothing'")


def test_studies_of_other_benchmarks_are_left_out(url: str) -> None:
    assert tuning_section(url, "cifar10_cams", "smoke", None, []) is None
    assert tuning_section("sqlite:////nowhere/studies.db", "cifar10_lt", "smoke", None, []) is None


def test_the_page_has_a_section_of_it(url: str) -> None:
    found = draw_section(
        comparison_of({"static": [3, 4], "real_rebalanced": [1, 2]}),
        tuning=tuning_section(url, "cifar10_lt", "smoke", None, []),
    )
    assert {"trials", "importance"} <= {chart.id for chart in found.charts}
    assert f'<th scope="row">{STATIC}</th><td>12</td>' in page([found], "")
