"""`discl report` and `discl figures`, through the command line."""

import json
import re
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from discl.cli import main
from discl.config.experiment import experiments
from discl.config.load import load
from discl.engine.bank.generate import ImageMaker
from discl.engine.bank.leases import CellGrid
from discl.harness.leaderboard.publish import publish
from discl.harness.run.assembly import Bench
from discl.harness.run.store import Store
from tests import results
from tests.banks import InlineExecutor

CHOICE = [
    "cifar10_lt",
    "--set",
    "generator.name=blend",
    "--strategies",
    "static,all_levels,real_rebalanced,real_only",
]
TINY = [
    "generator.name=blend",
    "dataset.largest=40",
    "dataset.smallest=4",
    "dataset.ood_photos=10",
    "bank.variants=1",
    "bank.threshold=0.4",
]
TINY += [
    "train.epochs=3",
    "train.curriculum_epochs=2",
    "train.evaluate_every=1",
    "train.warmup_epochs=1",
]


def _discl(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def _report(path: Path, *words: str) -> str:
    done = _discl("report", *words, "-o", str(path))
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{path}\n"
    return path.read_text("utf-8")


def told(text: str) -> list[dict[str, Any]]:
    """The facts that the page's script gets, one entry for each benchmark."""
    found = re.search(r'<script type="application/json" id="facts">(.*?)</script>', text, re.S)
    assert found
    benches: list[dict[str, Any]] = json.loads(found[1])["benches"]
    return benches


@pytest.fixture
def stored() -> Store:
    results.sweep()
    return Store()


@pytest.mark.usefixtures("stored")
def test_the_page_holds_answer_table_charts_and_how_to_make_it_again(tmp_path: Path) -> None:
    text = _report(tmp_path / "report.html", *CHOICE, "--no-pictures")
    assert "beats rebalanced real photos by" in text
    assert "discl bench cifar10_lt --scale smoke --strategies " in text
    assert "Made by discl" in text
    assert (
        "discl report cifar10_lt --strategies static,all_levels,real_rebalanced,real_only --set"
        " generator.name=blend --no-pictures" in text
    )
    (bench,) = told(text)
    assert {"chain", "forest", "groups", "classes", "levels", "val", "loss", "costs"} <= {
        chart["id"] for chart in bench["charts"]
    }
    assert bench["choice"]["metric"] == "test/few_acc"
    assert len(text.encode()) < 3_000_000
    assert "data:image/webp" not in text


@pytest.mark.usefixtures("stored")
def test_seeds_and_baselines_are_those_that_were_asked_for(tmp_path: Path) -> None:
    text = _report(
        tmp_path / "report.html",
        *CHOICE,
        "--no-pictures",
        "--seeds",
        "0",
        "--baseline",
        "all_levels",
    )
    assert "One seed tells nothing apart" in text
    assert "<option>all_levels</option>" in text
    assert "<option>real_rebalanced</option>" not in text


def test_published_results_make_a_page_that_says_what_it_lacks(
    stored: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["static", "all_levels", "real_rebalanced", "real_only"]
    publish(
        results.spec().model_copy(update={"strategies": names, "seeds": [0, 1, 2]}),
        stored,
        tmp_path / "leaderboards",
    )
    monkeypatch.setenv("DISCL_HOME", str(tmp_path / "another machine"))
    text = _report(
        tmp_path / "report.html", *CHOICE, "--root", str(tmp_path / "leaderboards"), "--no-pictures"
    )
    assert "no curves and no level traces: the runs&#39; records are not on this machine" in text
    assert not {"levels", "val", "loss"} & {chart["id"] for chart in told(text)[0]["charts"]}


def test_without_runs_the_way_out_is_said(tmp_path: Path) -> None:
    done = _discl("report", *CHOICE, "-o", str(tmp_path / "report.html"))
    assert done.exit_code == 2
    assert (
        "no complete run of cifar10_lt at scale smoke yet; run: discl bench cifar10_lt"
        in done.stderr
    )
    assert not (tmp_path / "report.html").exists()


@pytest.mark.usefixtures("stored")
def test_a_result_that_was_edited_by_hand_is_named_and_not_counted(tmp_path: Path) -> None:
    path = next(Store().root.glob("*/*/result.json"))
    path.write_text(path.read_text()[:-40])
    done = _discl("report", *CHOICE, "--no-pictures", "-o", str(tmp_path / "report.html"))
    assert done.exit_code == 0
    assert f"not counted: {path}" in done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["report", "cifar10_l"], "did you mean 'cifar10_lt'"),
        (["report", *CHOICE, "--baseline", "sttic"], "did you mean 'static'"),
        (
            ["report", *CHOICE, "-o", "pyproject.toml/report.html"],
            "name a file in a folder you may write",
        ),
        (["report", *CHOICE, "--study", "tiny"], "there are no studies"),
        (["figures", *CHOICE, "-o", "figures", "--format", "sgv"], "did you mean 'svg'"),
    ],
)
@pytest.mark.usefixtures("stored")
def test_what_cannot_be_is_said_with_the_way_out(
    words: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("")
    assert says in _discl(*words, *(["--no-pictures"] if words[0] == "report" else [])).stderr


@pytest.mark.parametrize("library", ["altair", "vl_convert"])
@pytest.mark.usefixtures("stored")
def test_without_the_libraries_of_charts_the_way_out_is_said(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    done = _discl("report", *CHOICE, "--no-pictures", "-o", str(tmp_path / "report.html"))
    assert done.exit_code == 2
    assert "pip install 'discl[report]'" in done.stderr


@pytest.mark.usefixtures("stored")
def test_figures_lie_in_the_folder_with_their_captions(tmp_path: Path) -> None:
    done = _discl("figures", *CHOICE, "-o", str(tmp_path / "figures"), "--format", "svg")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        str(path) for path in map(Path, done.stdout.splitlines()) if path.is_file()
    ]
    assert (
        "discl figures cifar10_lt --strategies"
        in (tmp_path / "figures" / "cifar10_lt-smoke-captions.txt").read_text()
    )


def _shows_pictures(text: str, first: str) -> None:
    assert "From text to photo" in text
    assert "by class and level; kept: " in text
    mistakes = text.partition("Surest mistakes</h2>")[2]
    assert f"{first}, seed 0" in mistakes
    assert "real_rebalanced, seed 0" in mistakes
    assert re.search(r"<small>\w+<br>\d+&nbsp;% sure</small>", mistakes)


def test_images_of_the_bank_and_the_surest_mistakes_are_inside(tmp_path: Path) -> None:
    bench = Bench(load("cifar10_lt", settings=TINY))
    wanted = CellGrid(bench.sources.ids[:3], (0, 20), 1)
    image_maker = ImageMaker(bench.bank.id, bench.bank.shards, bench.sources, bench.generator, None)
    bench.bank.build(
        wanted, bench.generator.steps, InlineExecutor(), lambda: image_maker, 4, lambda *_: None
    )
    spec = bench.spec.model_copy(update={"strategies": ["static", "real_rebalanced"], "seeds": [0]})
    for each in experiments(spec):
        results.store(
            each,
            comparability={
                "bank": bench.bank_id if each.strategy == "static" else None,
                "comparison": "same",
            },
        )
    bench.bank.close()
    text = _report(tmp_path / "report.html", *_words(TINY))
    _shows_pictures(text, "static")
    assert (
        "not made" in text
    )  # two of the bank's levels are missing, and nothing was made for the page
    before, _, rest = text.partition('<table class="data pairs"')
    pairs, _, after = rest.partition("</table>")
    picture = 'src="data:image/webp;base64,'
    # photos, images of two of them, mistakes
    assert (before + after).count(picture) == 8 + 4 + 2 * 3 * 6
    assert 8 <= pairs.count(picture) <= 2 * 8  # a class may have no photo that is called right


def test_another_bank_than_the_runs_used_is_not_shown(tmp_path: Path) -> None:
    results.sweep(["static", "real_rebalanced"], [0])
    text = _report(tmp_path / "report.html", *CHOICE[:3], "--strategies", "static,real_rebalanced")
    assert "no images of the bank: 0123456789abcdef is not on this machine" in text
    assert "From text to photo" not in text
    assert "Surest mistakes</h2>" in text


@pytest.mark.slow
def test_a_real_bench_shows_its_images_and_its_surest_mistakes(tmp_path: Path) -> None:
    """Trains two networks."""
    done = _discl("bench", *_words(TINY), "--seeds", "0", "--trackers", "")
    assert done.exit_code == 0, done.output
    _shows_pictures(_report(tmp_path / "report.html", *_words(TINY)), "static")


def _words(settings: list[str]) -> list[str]:
    return [
        "cifar10_lt",
        "--strategies",
        "static,real_rebalanced",
        *(word for setting in settings for word in ("--set", setting)),
    ]


@pytest.mark.parametrize(
    ("seeds", "limit_s"),
    [(100, 3), pytest.param(400, 6, marks=pytest.mark.slow(reason="four times as many runs"))],
)
def test_hundreds_of_runs_take_seconds(tmp_path: Path, seeds: int, limit_s: float) -> None:
    names = ["static", "all_levels", "fixed", "real_rebalanced", "real_only"]
    spec, store, rng = (
        results.spec().model_copy(update={"strategies": names, "seeds": [*range(seeds)]}),
        Store(),
        np.random.default_rng(0),
    )
    made = {
        name: results.result(experiment, 2.0 + 0.1 * place)
        for place, (name, experiment) in enumerate(zip(names, experiments(spec), strict=False))
    }
    written: dict[
        tuple[str, int],
        str,
        # twenty seeds a strategy: writing as many different files takes longer than reading them
    ] = {}
    for each in experiments(spec):
        base, kind = made[each.strategy], (each.strategy, each.seed % 20)
        if kind not in written:
            metrics = {key: value + 0.01 * rng.normal() for key, value in base.metrics.items()}
            content = json.loads(replace(base, id="ID", seed=-1, metrics=metrics).to_json())
            written[kind] = json.dumps(content | {"seal": None})
        text = (
            written[kind]
            .replace('"id": "ID"', f'"id": "{each.id()}"')
            .replace('"seed": -1', f'"seed": {each.seed}')
        )
        (store.new_attempt(each.id())[1] / "result.json").write_text(text)
    began = time.process_time()
    text = _report(
        tmp_path / "report.html", *CHOICE[:3], "--strategies", ",".join(names), "--no-pictures"
    )
    took = time.process_time() - began  # the time on the wall says more of who else is busy here
    assert took < limit_s, f"{took:.1f} s"
    assert f"{seeds} seeds" in text
    assert len(text.encode()) < 3_000_000
