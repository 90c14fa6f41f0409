"""What README claims, checked."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from discl import testing
from discl.cli import main
from discl.spec.benchmark import available, load
from discl.spec.levels import denoising_steps
from discl.spec.registry import find

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
EXAMPLE = re.search(r"```python\n(.*?)```", README, re.S).group(1)  # type: ignore[union-attr]


class TestTheExampleStrategy(testing.StrategyContract):
    @pytest.fixture
    def part(self) -> Any:
        module: dict[str, Any] = {"__name__": "example"}
        exec(compile(EXAMPLE, "README.md", "exec"), module)  # noqa: S102 - the repository's own text
        return module["Dawn"]()


def test_the_example_is_short() -> None:
    assert len(EXAMPLE.splitlines()) < 40


def test_the_table_is_the_published_one() -> None:
    shown = re.search(r"<!-- table.*?-->\n(.*?)<!-- end of table -->", README, re.S)
    assert shown is not None
    page = (ROOT / "leaderboards" / "cifar10_lt.md").read_text("utf-8")
    assert shown.group(1).strip()
    assert shown.group(1).strip() in page


def test_the_costs_are_what_the_levels_give() -> None:
    rows = re.search(r"<!-- costs -->\n(.*?)<!-- end of costs -->", README, re.S).group(1).strip().splitlines()[2:]  # type: ignore[union-attr]
    assert len(rows) == 2
    for row in rows:
        _, made, levels, released, here, saved = (cell.strip().replace(",", "") for cell in row.strip("|").split("|"))
        images = math.prod(int(number) for number in made.split(" x "))
        used = sum(denoising_steps(int(level), 50) for level in levels.split())
        whole = sum(denoising_steps(level, 50) for level in range(0, 100, 10))
        assert (int(released), int(here)) == (images * whole, images * used)
        assert saved == f"{1 - used / whole:.0%}".replace("%", " %")


def test_the_figures_of_the_bank_are_the_measured_ones() -> None:
    making, storage = (json.loads((ROOT / f"benchmarks/perf/bank_{name}.json").read_text("utf-8")) for name in ("making", "storage"))
    said = " ".join(README.split())
    assert f"{making['ratios']['times_the_loop']:.1f} times the images a second" in said
    assert f"{making['ratios']['making_over_bare_denoiser'] - 1:.0%}".replace("%", " %") + " over bare forwards" in said
    assert f"with scores and stored bytes it is {making['ratios']['ours_over_bare_denoiser'] - 1:.0%}".replace("%", " %") in said
    assert f"reading is {storage['reading']['times_one_file_an_image_pil']:.0f} times one file an image" in said
    assert f"takes {math.ceil(100 * storage['switching']['switch_ms']) / 100} ms" in said


def test_the_figures_of_training_are_the_measured_ones() -> None:
    train, frozen = (json.loads((ROOT / f"benchmarks/perf/{name}.json").read_text("utf-8")) for name in ("train", "frozen"))
    said = " ".join(README.split())
    clip, chance = frozen["the shipped CLIP"], frozen["a ResNet-18 with random weights"]
    assert f"take {clip['training_s']:.0f} s after {clip['embedding_s']:.0f} s of embedding" in said
    for trunk in (clip, chance):
        assert f"{trunk['agreement']['test/macro_acc']['spearman']}" in said
    ten, smoke = (each["overhead_percent"] for each in train["step"].values())
    assert f"A step costs {ten} % more" in said
    assert f"and {smoke} % for the smoke scale" in said
    assert f"take {1000 * train['metrics']['with_argmax_s']:.0f} ms" in said
    assert f"{train['metadata']['rows']:,} rows {train['metadata']['ours_s']:.2f} s" in said


def test_every_place_and_link_exists() -> None:
    tree = README.partition("## Where things live")[2]
    places = re.findall(r"^\| `([\w/.]+)`", tree, re.M) + re.findall(r"\]\((?!http)([^)]+)\)", README)
    assert len(places) > 8
    for place in places:
        assert (ROOT / place).exists(), place


def test_every_command_parses() -> None:
    commands = re.findall(r"^discl ([^#\n]+)", README, re.M)
    assert len(commands) > 7
    for command in commands:
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
    rows = re.search(r"<!-- benchmarks -->\n(.*?)<!-- end of benchmarks -->", README, re.S).group(1).strip().splitlines()[2:]  # type: ignore[union-attr]
    named = {re.search(r"`(.*?)`", row).group(1): row for row in rows}  # type: ignore[union-attr]
    variants = re.search(r"Variants:(.*?)\n\n", README, re.S).group(1)  # type: ignore[union-attr]
    assert {*named, *re.findall(r"`(\w+)`", variants)} == set(available())
    for name, row in named.items():
        part = find("datasets", name)
        for count in getattr(part, "published", {}).values():
            assert f"{count:,}" in row, (name, count)


def test_the_benchmark_on_the_page_of_own_data_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "benchmarks" / "OWN_DATA.md").read_text("utf-8")
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "zebras.toml").write_text(re.search(r"```toml\n(.*?)```", page, re.S).group(1))  # type: ignore[union-attr]
    monkeypatch.chdir(tmp_path)
    assert load("zebras").dataset == {"name": "folder", "root": "/data/zebras", "group_column": "camera"}
