"""A bench as a person sees it go by, and stops it: in a terminal that pyte keeps the screen of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from discl.engine.bank.bank import Bank
from tests.terminal import Terminal, shown

BENCH = ["bench", "cifar10_lt", "--strategies", "static,real_only", "--trackers", "console"]
BENCH += ["--set", "bank.variants=1"]  # an eighth of the images, and all else as the scale has it
MADE = 104  # of that
# more images than those, each in a hundredth of the time
QUICK = ["bench", "cifar10_lt", "--strategies", "static", "--trackers", "console"]
for setting in ("generator.name=blend", "bank.variants=20", "bank.batch=64"):
    QUICK += ["--set", setting]
for setting in ("train.epochs=2", "train.curriculum_epochs=1"):
    QUICK += ["--set", setting]
IMAGES, BATCH = 2080, 64  # of that
SENTENCE = re.compile(r"stopped; ([\d,]+) of 2,080 images are kept; ([\d,]+) in work begin again")


# the time left, of the images alone as long as the pace of training is not known
LEFT = re.compile(r"\d:\d\d (left|\+ training)")


def _number(text: str) -> int:
    return int(text.replace(",", ""))


def _rows(screens: Sequence[str]) -> list[str]:
    return [line for screen in screens for line in screen.splitlines()]


@pytest.mark.timeout(3600)
@pytest.mark.slow(reason="makes 104 images with the generator in the box: a minute of a core")
def test_the_smallest_scale_goes_by_with_bar_count_and_time_left_and_ends_in_the_table(
    tmp_path: Path,
) -> None:
    with Terminal(BENCH, columns=80, environment={"DISCL_HOME": str(tmp_path)}) as terminal:
        begin = terminal.until(lambda s: "making images" in s and bool(LEFT.search(s)), 1500)
        terminal.resize(60)  # which cuts off what is there, in this terminal
        terminal.until(lambda screen: "static, seed 0" in screen and "epochs" in screen, 1500)
        terminal.resize(80)
        assert terminal.wait() == 0, shown(terminal.screen)
        rows = _rows(terminal.seen)
        bars = [row for row in rows if "━" in row and "/2 runs" in row]
        assert {"0/2 runs", "1/2 runs"} <= {found[0] for bar in bars if (found := _runs(bar))}
        assert sum(bool(LEFT.search(bar)) for bar in bars) > len(bars) / 2
        counts = {int(found[1]) for row in rows if (found := _images(row))}
        assert len(counts) > MADE / 32  # with each group that the denoiser gets
        assert any(re.search(r"  static, seed 0 +\d+/18 epochs", row) for row in rows)
        assert not any("…" in row for row in rows)
        end = shown(terminal.screen)
    begin = " ".join(begin.split())  # its lines end at words
    assert re.search(r"device: .* GB of memory free", begin)
    assert re.search(rf"{MADE} images to make \([\d,]+ denoising steps\)", begin)
    assert "CIFAR-10-LT, scale smoke" in end
    assert re.search(r"^ static +1", end, re.MULTILINE)
    assert f"this time: {MADE} images made" in end
    assert f"runs: {tmp_path}/runs" in end.replace("\n", "")
    assert "next: discl report cifar10_lt --strategies static,real_only" in end
    table = end.partition("CIFAR-10-LT, scale smoke")[2]
    assert "making images" not in table
    assert "━" not in table


def _runs(bar: str) -> re.Match[str] | None:
    return re.search(r"\d/2 runs", bar)


def _images(row: str) -> re.Match[str] | None:
    return re.search(r"making images +([\d,]+)/[\d,]+", row)


def _count(screen: str) -> int:
    found = _images(screen)
    return _number(found[1]) if found else -1


@pytest.mark.timeout(1800)
@pytest.mark.slow(reason="starts a bench eleven times, and stops it ten times amid its images")
def test_ctrl_c_during_images_ten_times_costs_a_batch_each_at_most(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    kept_before = 0
    for number in range(10):
        target = int(rng.integers(0, 200))
        with Terminal(QUICK, environment={"DISCL_HOME": str(tmp_path)}) as terminal:
            terminal.until(lambda screen, target=target: _count(screen) >= target)  # type: ignore[misc]
            terminal.interrupt()
            if number % 2:
                terminal.interrupt()
            assert terminal.wait() == 130, shown(terminal.screen)
            end = " ".join(shown(terminal.screen).split())
        assert "Traceback" not in end
        (folder,) = (tmp_path / "banks").glob("????????????????")
        bank = Bank.at(folder)
        bank.repair()  # as the next bench does: enters what was published at the last moment
        kept = sum(bank.count().values())
        bank.close()
        assert kept >= kept_before
        said = SENTENCE.search(end)
        assert said or number % 2, end  # the second one may come before the sentence is made
        if said:
            assert _number(said[1]) == kept
            assert _number(said[2]) <= BATCH
        kept_before = kept
    with Terminal(QUICK, environment={"DISCL_HOME": str(tmp_path)}) as terminal:
        assert terminal.wait() == 0, shown(terminal.screen)
        end = shown(terminal.screen)
    assert f"this time: {IMAGES - kept_before:,} images made" in end
    bank = Bank.at(folder)
    assert list(bank.verify()) == []
    bank.close()
