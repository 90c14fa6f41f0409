"""The quality of a bank whose embeddings are angles, so that figures can be worked out by hand.

The red of a photo says how many degrees.
"""

import json
import re
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from discl.cli import main
from discl.config.load import load
from discl.core.errors import UserError
from discl.core.interfaces import Generated, Request, Split
from discl.harness.bank.quality.histogram import histogram
from discl.harness.bank.quality.linear_probe import RidgeProbe, class_folds
from discl.harness.bank.quality.measure import (
    QualityLimits,
    measure_quality,
    pixel_difference,
)
from discl.harness.bank.quality.neighbours import nearest, nearest_is_own, spread
from discl.harness.bank.quality.page import page
from discl.harness.bank.quality.quality_report import (
    QualityReport,
    ScoreDistribution,
    as_json,
    definitions,
)
from discl.harness.bank.spectrum import spectrum
from discl.harness.run.assembly import Bench
from discl.harness.run.trackers import CompositeTracker
from tests.banks import InlineExecutor

SCRIPT = "<script>alert('bird')</script>"
CAPTIONS = {"a cat": 0, "a dog": 90, "a bird": 180}


def _unit(degrees: Any) -> Any:
    angle = np.deg2rad(np.asarray(degrees, float))
    return np.stack([np.cos(angle), np.sin(angle)], -1).astype(np.float32)


def _cos(degrees: float) -> float:
    return float(np.cos(np.deg2rad(degrees)))


class Angles:
    """Scorer: the mean of red, in degrees."""

    version, embedded = 1, 0

    def identity(self) -> dict[str, Any]:
        return {}

    def embed_images(self, images: Any) -> Any:
        self.embedded += len(images)
        return _unit(images[..., 0].mean((1, 2)))

    def embed_texts(self, texts: Sequence[str]) -> Any:
        return _unit([CAPTIONS[text] for text in texts])


class Painter:
    """Generator: level 50 is the photo, level 0 has the angle that `paint` gives the seed."""

    version, steps = 1, 10

    def __init__(self, paint: Callable[[int], int] = lambda seed: 100, fails: int = -1) -> None:
        self.paint, self.fails = (
            paint,
            fails,
        )  # `fails`: the red of photos whose level 0 cannot be made

    def identity(self) -> dict[str, Any]:
        return {}

    def make(self, requests: Sequence[Request], photos: Any) -> Generated:
        images = photos.copy()
        for i, request in enumerate(requests):
            if request.level == 0:
                images[i, ..., 0] = self.paint(request.seed)
        failed = {
            i: "no"
            for i, r in enumerate(requests)
            if r.level == 0 and photos[i, 0, 0, 0] == self.fails
        }
        return Generated(images, failed)


class Animals:
    """Cats are plenty; dogs and birds are hard.

    One bird of val looks like a dog; test has a photo at 100 degrees.
    """

    version = 1
    classes = ("cat", "dog", SCRIPT)
    splits = ("train", "val", "test", "ood/dark", "ood/none")
    angles = {  # noqa: RUF012
        "train": [(0, 0), (0, 10), (0, 20), (0, 30), (1, 88), (1, 92), (2, 178), (2, 182)],
        "val": [(0, 1), (0, 13), (1, 90), (1, 90), (2, 180), (2, 90)],
        "test": [(2, 100), (0, 60)],
        "ood/dark": [(0, 70)],
        "ood/none": [],
    }

    def identity(self) -> dict[str, Any]:
        return {}

    def prompts(self, label: int) -> tuple[str, ...]:
        return (list(CAPTIONS)[label],)

    def split(self, name: str) -> Split:
        labels, angles = np.array(self.angles[name], np.int64).reshape(-1, 2).T
        pixels = np.full((len(labels), 4, 4, 3), 50, np.uint8)
        pixels[..., 0] = angles[:, None, None]
        ids = np.array([f"{name}{i}" for i in range(len(labels))], dtype=str)
        return Split(ids, labels, np.zeros_like(labels), pixels)


def _bench(*settings: str, generator: Any = None, fill: Sequence[int] = (0, 50)) -> Bench:
    usual = [
        "generator.name=blend",
        "levels=[0,50,100]",
        "hard_rule.max_class_images=3",
        "bank.variants=2",
        "bank.threshold=0.5",
    ]
    bench = Bench(load("cifar10_lt", settings=[*usual, *settings]))
    bench.dataset, bench.scorer, bench.generator = Animals(), Angles(), generator or Painter()
    if fill:
        bench.fill(fill, lambda *_: None, InlineExecutor())
    return bench


def _inspect(bench: Bench, **limits: Any) -> QualityReport:
    return measure_quality(bench, lambda *_: None, QualityLimits(**limits))


@pytest.fixture
def quality() -> QualityReport:
    return _inspect(_bench())


def _stats(quality: QualityReport, label: int, level: int) -> Any:
    return next(
        stats
        for stats in quality.by_class_and_level
        if (stats.label, stats.level) == (label, level)
    )


def test_yield_and_cost_are_counted_by_class_and_level(quality: QualityReport) -> None:
    dog, bird = _stats(quality, 1, 0), _stats(quality, 2, 0)
    assert (dog.wanted, dog.made, dog.picked, dog.kept, dog.kept_share) == (4, 4, 4, 4, 1.0)
    assert (bird.wanted, bird.made, bird.picked, bird.kept, bird.kept_share) == (
        4,
        4,
        4,
        0,
        0.0,
    )  # cos 80 is below 0.5
    assert (dog.denoising_steps_per_kept, bird.denoising_steps_per_kept, bird.bytes_per_kept) == (
        10,
        None,
        None,
    )
    assert (quality.levels[0].kept, quality.levels[0].denoising_steps_per_kept) == (4, 20)
    assert (quality.total.made, quality.total.kept, quality.total.denoising_steps_per_kept) == (
        16,
        12,
        (8 * 10 + 8 * 5) / 12,
    )


def test_scores_have_quantiles_and_a_histogram(quality: QualityReport) -> None:
    empty, full = quality.scores
    assert empty.text is not None
    assert full.text is not None
    assert empty.text.lowest == pytest.approx(_cos(80), abs=1e-5)
    assert empty.text.highest == pytest.approx(_cos(10), abs=1e-5)
    assert full.text.median == pytest.approx(_cos(2), abs=1e-5)
    assert sum(empty.text.counts) == sum(full.text.counts) == 8
    assert empty.text.edges == full.text.edges
    assert full.photo is not None
    assert full.photo.lowest == pytest.approx(1)


def test_label_retention_is_judged_by_real_photos_and_by_captions(quality: QualityReport) -> None:
    assert [_stats(quality, 1, 0).probe_retention, _stats(quality, 1, 0).caption_retention] == [
        1,
        1,
    ]
    assert [_stats(quality, 2, 0).probe_retention, _stats(quality, 2, 0).caption_retention] == [
        0,
        0,
    ]
    assert [_stats(quality, 2, 50).probe_retention, _stats(quality, 2, 50).caption_retention] == [
        1,
        1,
    ]
    assert quality.levels[0].probe_retention == quality.levels[0].caption_retention == 0.5
    assert quality.levels[0].probe_retention_kept == 1
    assert _stats(quality, 2, 0).probe_retention_kept is None


def test_images_of_another_class_retain_the_class_they_were_to_become() -> None:
    targets = json.dumps(["dog", SCRIPT])
    quality = _inspect(_bench("prompts.name=diffmix", f"prompts.targets={targets}"))
    dogs, birds = (_stats(quality, label, 0) for label in (1, 2))  # all are painted like dogs
    assert (dogs.probe_retention, dogs.caption_retention, dogs.kept) == (0, 0, 0)
    assert (birds.probe_retention, birds.caption_retention, birds.kept) == (1, 1, 4)
    assert _stats(quality, 1, 50).probe_retention == 0  # the photo, still of its own class
    classifiers = quality.classifiers
    assert (
        classifiers.probe_val_accuracy
        == classifiers.caption_val_accuracy
        == pytest.approx(5 / 6, abs=1e-6)
    )
    assert classifiers.probe_val_macro_accuracy == pytest.approx((1 + 1 + 1 / 2) / 3, abs=1e-6)
    assert (classifiers.probe_hard_accuracy, classifiers.caption_hard_accuracy) == (1, 1)
    assert [
        (one.label, one.hard_photos, one.train_and_val_photos, one.probe_retention)
        for one in quality.real
    ] == [(1, 2, 4, 1), (2, 2, 4, 1)]
    assert quality.real[1].probe_val_recall == 0.5


def test_diversity_is_the_mean_cosine_distance_within_a_class(quality: QualityReport) -> None:
    apart = 1 - _cos(4)  # 88 and 92 degrees
    assert quality.real[0].diversity == pytest.approx(apart, abs=1e-5)
    assert _stats(quality, 1, 50).diversity == pytest.approx(
        apart * 4 / 6, abs=1e-5
    )  # two images of each photo: 4 of 6 pairs differ
    assert _stats(quality, 1, 0).diversity == pytest.approx(0, abs=1e-5)
    assert _stats(quality, 2, 0).diversity_kept is None


def test_near_duplicates_are_nearer_than_real_photos_are(quality: QualityReport) -> None:
    near = quality.near_duplicates
    assert near.cosine_limit == pytest.approx(
        _cos(1), abs=1e-6
    )  # the first cat and its neighbour in val
    assert (near.found, near.found_kept, near.images, near.by_split) == (8, 4, 16, {"test": 8})
    assert [stats.near_duplicates for stats in quality.levels] == [8, 0]
    worst = near.listed[0]
    assert (worst.level, worst.split, worst.photo_id, worst.cosine, worst.pixel_difference) == (
        0,
        "test",
        "test0",
        pytest.approx(1),
        0,
    )
    assert worst.source_cosine == pytest.approx(
        _cos(12), abs=1e-5
    )  # made from the photo at 88 degrees
    assert any("8 of 16 images" in warning for warning in quality.warnings)


def test_what_is_listed_is_capped_and_the_limit_can_be_moved() -> None:
    bench = _bench()
    assert len(_inspect(bench, listed=3).near_duplicates.listed) == 3
    loose = _inspect(bench, quantile=0).near_duplicates
    assert loose.found == 16  # all are nearer than the cat at 30, with val at 13: 17 degrees


def test_warnings_name_what_is_empty_missing_and_failed() -> None:
    everything = "\n".join(_inspect(_bench()).warnings)
    assert f"level 0: no image of {SCRIPT} is kept" in everything
    assert f"level 50: fewer than 5 images are kept of dog (4), {SCRIPT} (4)" in everything
    assert not any("images are kept" in warning for warning in _inspect(_bench(), few=4).warnings)
    assert "no image of dog" in _inspect(_bench("bank.threshold=1")).warnings[0]
    some = _inspect(_bench("bank.seed=1", fill=[50]))
    assert "level 0: no image is made" in some.warnings
    assert "8 of 16 images are not made yet; `discl bank build` makes them" in some.warnings
    assert (some.levels[0].missing, some.levels[0].kept_share, some.levels[0].probe_retention) == (
        8,
        None,
        None,
    )
    failed = _inspect(_bench("bank.seed=2", generator=Painter(fails=88)))
    assert "2 of 16 images could not be made" in failed.warnings
    assert (failed.levels[0].failed, failed.levels[0].denoising_steps_per_kept) == (
        2,
        (6 + 2) * 10 / 2,
    )


def test_the_best_of_several_draws_is_what_is_kept() -> None:
    quality = _inspect(_bench("bank.variants=1", "bank.best_of=2"))
    dog = _stats(quality, 1, 50)
    assert (dog.wanted, dog.made, dog.picked, dog.kept) == (4, 4, 2, 2)


def test_a_threshold_is_moved_without_embedding_again() -> None:
    bench = _bench()
    _inspect(bench)
    other = _bench("bank.threshold=0.1", fill=())
    assert _inspect(other).total.kept == 16
    assert other.scorer.embedded == 0


def test_json_is_strict_and_explains_every_figure(quality: QualityReport, tmp_path: Path) -> None:
    read = json.loads(json.dumps(as_json(quality), allow_nan=False))
    assert read == json.loads(json.dumps(as_json(quality), allow_nan=False))
    assert read["by_class_and_level"][0]["class_name"] == "dog"
    explained = dict(definitions(QualityReport))
    assert all(explained.values())
    for key in (
        "total",
        "by_class_and_level.kept_share",
        "scores.text.q25",
        "near_duplicates.listed.pixel_difference",
        "classifiers.probe_val_accuracy",
    ):
        assert key in explained


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open, self.seen = list[str](), list[str]()

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self.seen.append(tag)
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: Any) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_escaped_and_fetches_nothing() -> None:
    bench = _bench()
    text = page(_inspect(bench), bench)
    tags = _Tags()
    tags.feed(text)
    assert tags.open == []
    assert "script" not in tags.seen
    assert "&lt;script&gt;" in text
    assert not re.search(r"(src|href)=\"(?!data:image/png;base64,)|url\(|@import|http", text)
    assert {"svg", "table", "img", "details"} <= {*tags.seen}
    assert not re.search(r"\d %", text)  # a percent sign stays with its number
    boxes = re.findall(r'<div class="scroll"[^>]*>', text)
    assert len(boxes) == 5  # levels, and four figures by class
    assert all('tabindex="0" role="region" aria-label="' in box for box in boxes)
    assert text.count('role="img"') == text.count('<div aria-hidden="true"><svg') == 2 * 2
    assert (
        tags.seen.count("img") == 3 * 8 + 2 * 3 * 3
    )  # triples of near-duplicates; three ranks of three at two levels


def test_an_empty_bank_and_one_without_scores_are_sentences() -> None:
    with pytest.raises(UserError, match="discl bank build cifar10_lt"):
        _inspect(_bench(fill=()))
    bench = _bench()
    with bench.bank.catalogue.writing() as db:
        db.execute("UPDATE images SET text_score = NULL")
    with pytest.raises(UserError, match="has a score"):
        _inspect(bench)


def test_the_spectrum_shows_the_draw_that_is_picked_and_marks_by_the_view() -> None:
    bench = _bench(
        "bank.variants=1",
        "bank.best_of=4",
        "bank.threshold=0.9",
        generator=Painter(lambda seed: 90 + seed % 60),
    )
    figure = spectrum(bench, 2)
    assert figure.heads == ("level 0 %\n(text only)", "level 50 %", "photo")
    assert figure.names == ("dog", SCRIPT)
    scores = bench.bank.scores(0)[0].reshape(4, 4)  # photo, draw
    assert [row[0].note for row in figure.rows] == [f"{scores[i].max():.3f}" for i in (0, 2)]
    assert [row[0].dropped for row in figure.rows] == [bool(scores[i].max() < 0.9) for i in (0, 2)]
    assert figure.rows[1][0].dropped
    assert "0.9" in figure.mark
    assert "best of 4 draws" in figure.legend[0]


def test_folds_share_out_every_class_and_the_probe_answers_out_of_fold() -> None:
    labels = np.array([0, 1, 0, 0, 1, 0, 0, 0])
    assert class_folds(labels).tolist() == [0, 0, 1, 2, 1, 3, 4, 0]
    vectors, true = _unit(np.r_[np.zeros(10), np.full(10, 90)]), np.repeat([0, 1], 10)
    swapped = true.copy()
    swapped[3] = 1
    probe = RidgeProbe(vectors, swapped, 2, class_folds(swapped))
    assert probe.predict(vectors, class_folds(swapped)).tolist() == true.tolist()


@pytest.mark.parametrize("block", [1, 50, 2**22])
def test_blocks_of_any_size_give_the_same_neighbours(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("discl.harness.bank.quality.blocks.BLOCK", block)
    queries, keys = (_unit(np.random.default_rng(seed).uniform(0, 360, 40)) for seed in (0, 1))
    table = queries @ keys.T
    found = nearest(queries, keys)
    assert found.row.tolist() == table.argmax(1).tolist()
    assert np.allclose(found.cosine, table.max(1))
    assert nearest_is_own(queries, keys, table.argmax(1)).all()
    pairs = queries @ queries.T
    assert spread(queries) == pytest.approx(1 - pairs[~np.eye(40, dtype=bool)].mean(), abs=1e-6)


def test_the_pixel_difference_of_black_and_white_is_one() -> None:
    black, white = np.zeros((32, 20, 3), np.uint8), np.full((9, 9, 3), 255, np.uint8)
    assert pixel_difference(black, white) == 1
    assert pixel_difference(black, black) == 0


def test_the_verb_prints_or_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        import_module("discl.cli.bank.quality"),
        "opened",
        lambda _: (_bench(), CompositeTracker.of([])),
    )
    said = CliRunner().invoke(main, ["bank", "report", "cifar10_lt"])
    assert said.exit_code == 0, said.output
    assert f"no image of {SCRIPT} is kept" in said.output
    assert "near-duplicates of val, test or ood photos: 8 of 16" in said.output
    page = tmp_path / "deep" / "report.html"
    words = ["--format", "json", "--html", str(page), "--few", "2", "--list", "1"]
    said = CliRunner().invoke(main, ["bank", "report", "cifar10_lt", *words])
    assert said.exit_code == 0, said.output
    assert json.loads(said.stdout)["few"] == 2
    assert page.read_text("utf-8").startswith("<!doctype html>")


def test_a_histogram_has_a_bar_for_each_bin_and_is_pale_below_the_threshold() -> None:
    scores = ScoreDistribution(
        6, 0.0, 0.0, 0.1, 0.3, 0.5, 0.7, 0.75, edges=(0.0, 0.25, 0.5, 0.75), counts=(3, 2, 1)
    )
    text = histogram(scores, "cosines", 0.4)
    assert (text.count('fill="var(--pale)"'), text.count('fill="var(--bar)"')) == (2, 1)
    assert 'aria-label="cosines: 6 images, median 0.300, from 0.000 to 0.750"' in text
    assert 'stroke="var(--alarm)"' in text
    assert 'stroke="var(--alarm)"' not in histogram(scores, "cosines")
    assert histogram(None, "cosines") == ""
