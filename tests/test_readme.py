"""What README claims, checked."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from discl import testing
from discl.cli import main
from discl.config import sweep_load
from discl.config.load import available, load
from discl.core.levels import denoising_steps
from discl.core.registry import find

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
MEASURED_PAGE = (ROOT / "docs" / "explanation" / "measured.md").read_text("utf-8")
EXAMPLE = re.search(r"```python\n(.*?)```", README, re.S).group(1)  # type: ignore[union-attr]


class TestTheExampleStrategy(testing.StrategyContract):
    @pytest.fixture
    def part(self) -> Any:
        module: dict[str, Any] = {"__name__": "example"}
        exec(compile(EXAMPLE, "README.md", "exec"), module)  # noqa: S102 - the repository's own text
        return module["Dawn"]()


def test_the_example_is_short() -> None:
    assert len(EXAMPLE.splitlines()) < 40


def test_the_spectrum_is_that_of_the_generator_that_made_the_table() -> None:
    picture = f"{load('cifar10_lt').generator['checkpoint']}_spectrum.png"
    assert f"]({'discl/assets/' + picture})" in README
    assert f"](pictures/{picture})" in (ROOT / "docs" / "index.md").read_text("utf-8")


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def published_board() -> list[dict[str, str]]:
    """The rows of the committed page, by column."""
    page = (ROOT / "leaderboards" / "cifar10_lt.md").read_text("utf-8")
    lines = [cells(line) for line in page.partition("| place |")[2].split("\n\n")[0].splitlines()]
    titles = ["place", *lines[0][:-1]] if lines[0][-1] == "" else ["place", *lines[0]]
    return [dict(zip(titles, line, strict=False)) for line in lines[2:]]


def test_the_table_and_the_chart_are_the_published_ones() -> None:
    shown = re.search(r"<!-- table.*?-->\n(.*?)<!-- end of table -->", README, re.S)
    assert shown is not None
    rows = [cells(line) for line in shown.group(1).strip().splitlines()[2:]]
    columns = ("strategy", "all", "few", "ood", "Δ few to real_rebalanced")
    board = published_board()
    assert rows == [[row[column] for column in columns] for row in board]
    (picture,) = re.findall(r"leaderboards/pictures/[\w-]+\.svg", README)
    drawn = (ROOT / picture).read_text("utf-8")
    for row in board:
        if row["strategy"] != "real_rebalanced":
            difference = row["Δ few to real_rebalanced"].removesuffix("*").replace("-", "−")
            assert f">{row['strategy']}<" in drawn
            assert f">{difference}<" in drawn


def test_the_costs_are_what_the_levels_give() -> None:
    rows = (
        re.search(r"<!-- costs -->\n(.*?)<!-- end of costs -->", MEASURED_PAGE, re.S)
        .group(1)
        .strip()
        .splitlines()[2:]
    )  # type: ignore[union-attr]
    assert len(rows) == 2
    for row in rows:
        _, made, levels, released, here, saved = (
            cell.strip().replace(",", "") for cell in row.strip("|").split("|")
        )
        images = math.prod(int(number) for number in made.split(" x "))
        used = sum(denoising_steps(int(level), 50) for level in levels.split())
        whole = sum(denoising_steps(level, 50) for level in range(0, 100, 10))
        assert (int(released), int(here)) == (images * whole, images * used)
        assert saved == f"{1 - used / whole:.0%}".replace("%", " %")


def test_the_figures_of_the_bank_are_the_measured_ones() -> None:
    making, storage = (
        json.loads((ROOT / f"benchmarks/perf/bank_{name}.json").read_text("utf-8"))
        for name in ("making", "storage")
    )
    said = " ".join(MEASURED_PAGE.split())
    assert f"{making['ratios']['times_the_loop']:.1f} times the images a second" in said
    assert (
        f"{making['ratios']['making_over_bare_denoiser'] - 1:.0%}".replace("%", " %")
        + " over bare forwards"
        in said
    )
    overhead = making["ratios"]["ours_over_bare_denoiser"] - 1
    assert f"with scores and stored bytes it is {overhead:.0%}".replace("%", " %") in said
    assert (
        f"Reading is {storage['reading']['times_one_file_an_image_pil']:.0f} times one file an"
        " image" in said
    )
    assert f"takes {math.ceil(100 * storage['switching']['switch_ms']) / 100} ms" in said


def test_the_figures_of_training_are_the_measured_ones() -> None:
    train, frozen = (
        json.loads((ROOT / f"benchmarks/perf/{name}.json").read_text("utf-8"))
        for name in ("train", "frozen")
    )
    said = " ".join(MEASURED_PAGE.split())
    clip, chance = frozen["the shipped CLIP"], frozen["a ResNet-18 with random weights"]
    assert f"take {clip['training_s']:.0f} s after {clip['embedding_s']:.0f} s of embedding" in said
    for trunk in (clip, chance):
        assert f"{trunk['agreement']['test/macro_acc']['spearman']}" in said
    ten, smoke = (each["overhead_percent"] for each in train["step"].values())
    assert f"A step costs {ten} % more" in said
    assert f"and {smoke} % for the smoke scale" in said
    assert f"take {1000 * train['metrics']['with_argmax_s']:.0f} ms" in said
    assert f"{train['metadata']['rows']:,} rows {train['metadata']['ours_s']:.2f} s" in said


def test_the_figures_of_looking_are_the_measured_ones() -> None:
    looking, tracking = (
        json.loads((ROOT / f"benchmarks/perf/{name}.json").read_text("utf-8"))
        for name in ("looking", "tracking")
    )
    said, found = " ".join(MEASURED_PAGE.split()), looking["looking"]
    assert (
        f"training takes {tracking['refused']['wall_ratio']:.2f} times as long as without a tracker"
        in said
    )
    assert f"server that hangs {tracking['hanging']['wall_ratio']:.2f} times" in said
    assert f"`discl leaderboard` takes {found['leaderboard']['seconds']} s" in said
    assert (
        f"`discl report` {found['report_without_pictures']['seconds']} s without pictures" in said
    )
    assert f"`discl runs ls` {found['runs_ls']['seconds']} s" in said


def test_every_place_and_link_exists() -> None:
    tree = README.partition("## Where things live")[2]
    places = re.findall(r"^\| `([\w/.]+)`", tree, re.M) + re.findall(
        r"\]\((?!http)([^)]+)\)", README
    )
    assert len(places) > 8
    for place in places:
        assert (ROOT / place).exists(), place


def test_every_command_parses() -> None:
    blocks = re.findall(r"^discl ([^#\n]+)", README, re.M)
    table = README.partition("## Commands")[2].partition("\n## ")[0]
    named = re.findall(r"^\| (`discl.*?) \|", table, re.M)
    verbs = [verb for cell in named for verb in re.findall(r"`(?:discl )?([\w-]+)`", cell)]
    assert len(blocks) >= 3
    assert len(verbs) > 14
    assert set(verbs) <= set(main.commands)
    for command in blocks:
        verb = [word for word in command.split()[:3] if not word.startswith("-")]
        helped = CliRunner().invoke(main, [*verb, "--help"])
        assert helped.exit_code == 0, command
        for option in re.findall(r"(--[\w-]+)", command):
            assert option in helped.stdout, (command, option)


def test_every_make_target_is_explained() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"make ([a-z]+)", README):
        assert re.search(rf"^{target}:.*## ", makefile, re.M), target


def test_every_benchmark_is_in_the_table_with_its_published_counts() -> None:
    rows = (
        re.search(r"<!-- benchmarks -->\n(.*?)<!-- end of benchmarks -->", README, re.S)
        .group(1)
        .strip()
        .splitlines()[2:]
    )  # type: ignore[union-attr]
    named = {re.search(r"`(.*?)`", row).group(1): row for row in rows}  # type: ignore[union-attr]
    variants = re.search(r"Variants:(.*?)\n\n", README, re.S).group(1)  # type: ignore[union-attr]
    assert {*named, *re.findall(r"`(\w+)`", variants)} == set(available())
    for name, row in named.items():
        part = find("datasets", name)
        for count in getattr(part, "published", {}).values():
            assert f"{count:,}" in row, (name, count)


def test_the_benchmark_on_the_page_of_own_data_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "howto" / "own-data.md").read_text("utf-8")
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "zebras.toml").write_text(
        re.search(r"```toml\n(.*?)```", page, re.S).group(1)
    )  # type: ignore[union-attr]
    monkeypatch.chdir(tmp_path)
    assert load("zebras").dataset == {
        "name": "folder",
        "root": "/data/zebras",
        "group_column": "camera",
    }


# ---------------------------------------------------------------- sweeps

SWEEPS = ROOT / "leaderboards" / "sweeps"
EPOCHS = {"order": "the last", "order_val_epoch": "chosen by val"}
MEASURED = {"test/macro_acc": "all", "test/few_acc": "few", "ood/macro_acc": "ood"}


def order_table() -> list[str]:
    """What the published order tests say, as Markdown."""
    lines = [
        (
            "| epoch | measured | rank of the paper's order | an order by chance does as well |"
            " order explains beyond seeds | the paper's minus its reverse |"
        ),
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, epoch in EPOCHS.items():
        for metric, reading in json.loads((SWEEPS / f"{name}.json").read_text("utf-8"))[
            "readings"
        ].items():
            place, variance, (mean, half, _) = (
                reading["paper_rank"],
                reading["variance"],
                reading["to_reverse"],
            )
            share = variance["order"] / (variance["order"] + variance["rest"])
            rank, gain = (
                f"{place['rank']} of {len(reading['ranking'])}",
                f"{100 * mean:+.1f} ± {100 * half:.1f}",
            )
            lines.append(
                f"| {epoch} | {MEASURED[metric]} | {rank} | p = {place['p_better']:.2f} |"
                f" {100 * share:.0f} % | {gain} |"
            )
    return lines


def regime_table() -> list[str]:
    """Few-shot accuracy of the published regime sweep at the last epoch, as Markdown."""
    strategies = ["static", "all_levels", "reverse", "text_only", "real_rebalanced"]
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for row in json.loads((SWEEPS / "regime.json").read_text("utf-8"))["rows"]:
        at, few = row["at"], row["metrics"]["test/few_acc"]
        assert few["n"] == row["wanted"] == 6
        strong = "strong" if at["train.color_jitter"] else "weak"
        levels = ", ".join(map(str, at["levels"]))
        told = f"{100 * few['mean']:.1f} ± {100 * few['half_width']:.1f}"
        rows.setdefault((at["generator.checkpoint"], strong, levels), {})[at["strategy"]] = told
    lines = [
        f"| generator | augmentation | levels | {' | '.join(strategies)} |",
        "| --- " * (3 + len(strategies)) + "|",
    ]
    for setting, told in sorted(rows.items(), reverse=True):
        lines.append("| " + " | ".join([*setting, *(told[name] for name in strategies)]) + " |")
    return lines


def tuning_table() -> list[str]:
    """What the published tuning found for each strategy, as Markdown."""
    told = json.loads((SWEEPS / "tune_static.json").read_text("utf-8"))
    titles = {"test/macro_acc": "all", "test/few_acc": "few", "ood/macro_acc": "ood"}
    header = [
        "strategy",
        "trials",
        "given up",
        "runs",
        "hours",
        "val, default",
        "val, best",
        *(f"gain, {title}" for title in titles.values()),
    ]
    lines = [f"| {' | '.join(header)} |", "| --- " * len(header) + "|"]
    gains = {line["strategy"]: line["gain"] for line in told["gains"]}
    for row in told["searches"]:
        found = [
            f"{gains[row['strategy']][metric]['mean'] * 100:+.1f} ±"
            f" {gains[row['strategy']][metric]['half_width'] * 100:.1f}"
            for metric in titles
        ]
        cells = [
            row["strategy"],
            row["complete"],
            row["given_up"],
            row["runs"],
            f"{row['hours']:.2f}",
        ]
        cells += [f"{100 * row[key]:.1f}" for key in ("default", "best")]
        lines.append("| " + " | ".join(map(str, [*cells, *found])) + " |")
    return lines


@pytest.mark.parametrize(
    ("mark", "table"),
    [("tuning", tuning_table), ("order", order_table), ("regime", regime_table)],
)
def test_the_tables_of_sweeps_are_the_published_ones(
    mark: str, table: Callable[[], list[str]]
) -> None:
    shown = re.search(rf"<!-- {mark} -->\n(.*?)<!-- end of {mark} -->", MEASURED_PAGE, re.S)
    assert shown is not None
    assert shown.group(1).strip().splitlines() == table()


def test_the_figures_of_sweeps_are_the_measured_ones() -> None:
    told, said = (
        json.loads((ROOT / "benchmarks/perf/sweep.json").read_text("utf-8")),
        " ".join(MEASURED_PAGE.split()),
    )
    overhead, growth, search = told["overhead"], told["growth"], told["search"]
    assert f"{overhead['beside_epochs_s']} s beside its epochs" in said
    assert f"{overhead['in_a_process_of_its_own_s']} s in a process of its own" in said
    assert f"10,000 cells are priced in {growth['dry_run_of_10000_cells_s']} s" in said
    assert (
        f"500 finished ones are launched again in {growth['500_finished_cells_again_s']} s" in said
    )
    assert f"{search['times fewer than default, nothing given up']} times fewer epochs" in said
    assert (
        f"{search['times fewer than random, nothing given up']} times fewer than random search"
        in said
    )


def test_every_shipped_sweep_loads_for_its_benchmarks() -> None:
    page = (ROOT / "docs" / "howto" / "tuning.md").read_text("utf-8")
    for name in sweep_load.available():
        for over in (None, "iwildcam"):
            assert sweep_load.load(name, over).title
        assert f"`{name}`" in page
