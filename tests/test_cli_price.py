"""`discl plan --gpu`: what is printed, and what is refused before any work."""

import json
import sys
from subprocess import run
from time import perf_counter

import pytest
from click.testing import CliRunner

from discl.cli import main

REFUSED = {
    "an unknown GPU": (["--gpu", "h300"], "take one of a100, h100, h200, l4, mps, rtx4090"),
    "no GPU": (["--gpu", "h200", "--count", "0"], "--count 0: takes 1 to 100,000"),
    "no currency": (
        ["--tflops", "100", "--bandwidth", "900", "--memory", "24", "--price", "3.5"],
        'write --price "3.5 USD"',
    ),
    "half a GPU": (["--tflops", "100"], "--bandwidth and --memory missing"),
    "two GPUs": (["--gpu", "l4", "--memory", "24"], "exclude each other"),
    "a price without a GPU": (["--price", "3 USD"], "add --gpu NAME, or leave it out"),
    "no such money": (["--gpu", "l4", "--price", "3.5 XYZ"], "XYZ is no currency of ISO 4217"),
    "no photos": (["--gpu", "l4", "--hard-photos", "-1"], "takes 0 to"),
}


def told(*words: str) -> tuple[int, str]:
    """The exit code, and what is printed with each run of blanks as one."""
    result = CliRunner().invoke(main, ["plan", *words])
    return result.exit_code, " ".join(result.output.split())


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_told_before_any_work(case: str) -> None:
    options, sentence = REFUSED[case]
    code, text = told("cifar10_lt", *options)
    assert code == 2
    assert sentence in text


def test_a_price_tells_levels_strategies_memory_and_money() -> None:
    code, text = told("cifar10_lt", "--gpu", "a100", "--count", "2", "--strategies", "static,fixed")
    assert code == 0, text
    for part in (
        "on 2 x NVIDIA A100 (80 GB): estimated, nothing is measured",
        "level steps images TFLOP an image seconds an image in a loop",
        "strategy runs training its images if alone",
        "hard photos 26 of 1,236 training photos; counts by its settings",
        "GB of 80 a worker at generator.chunk = 256: fits, up to",
        "GB of 80 at train.batch = 128: fits, up to",
        "a loop over diffusers' pipeline",
        "money",
        "at 1.3 USD an hour of one",
    ):
        assert part in text


def test_a_price_as_json_has_every_number() -> None:
    asked = ["plan", "cifar10_lt", "--gpu", "a100", "--strategies", "static", "--format", "json"]
    told = json.loads(CliRunner().invoke(main, asked).stdout)
    assert (told["benchmark"], told["gpu"]["name"], told["count"]) == ("cifar10_lt", "a100", 1)
    assert told["bank"]["images"] == sum(level["images"] for level in told["bank"]["levels"])
    assert told["hours"] == told["bank"]["hours"] + told["training"]["hours"]
    assert told["money"] == {"amount": 1.3 * told["hours"], "currency": "USD"}


@pytest.mark.slow(reason="imports and counts in a process of its own, 10 to 15 s")
def test_the_paper_s_iwildcam_is_priced_in_15_seconds_without_weights_or_photos() -> None:
    command = [sys.executable, "-m", "discl.cli", "plan", "iwildcam", "--scale", "paper"]
    started = perf_counter()
    done = run([*command, "--gpu", "h200"], check=True, capture_output=True, text=True)
    assert perf_counter() - started < 15
    assert "264,320" in done.stdout  # with level 0, of text_only
    assert "USD" in done.stdout
