"""Images that depend on the boxes of their photos, from a detector's file to the bank."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discl.config.identity import run_json
from discl.config.load import load
from discl.config.part_cache import PartCache
from discl.core.errors import UserError
from discl.core.interfaces import Generated, Photos, Request
from discl.core.progress import no_progress
from discl.engine.bank.catalogue import Cell
from discl.engine.bank.generate import ImageMaker
from discl.harness.run.assembly import Bench
from tests.make_mini import make

LEFT = [0.0, 0.25, 0.5, 0.5]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A miniature of iWildCam."""
    return make("iwildcam", tmp_path_factory.mktemp("iwildcam") / "mini", images=60)


@pytest.fixture
def bench(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Bench]:
    """iwildcam_inpaint on the miniature, with these detections for each of its photos."""
    monkeypatch.setenv("DISCL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DISCL_DATA", str(photos.parent / "data"))

    def made(box: list[float], *settings: str, without: int = 0) -> Bench:
        names = sorted(path.name for path in photos.rglob("train/*.jpg"))
        found = [{"category": "1", "conf": 0.9, "bbox": box}]
        images = [{"file": name, "detections": found} for name in names[without:]]
        (tmp_path / "md.json").write_text(json.dumps({"images": images}))
        given = [f"dataset.root={photos}", f"dataset.boxes={tmp_path / 'md.json'}", *settings]
        return Bench(load("iwildcam_inpaint", "smoke", given))

    return made


def test_a_generator_gets_the_boxes_and_the_bank_has_them_in_its_id(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ours = bench(LEFT)
    seen = list[Request]()

    def make_none(requests: Any, photos: Photos) -> Generated:
        seen.extend(requests)
        return Generated(photos)

    monkeypatch.setattr(ours.generator, "make", make_none)
    cells = tuple(Cell(source, 50, 0) for source in ours.sources.ids)
    ImageMaker("bank", tmp_path, ours.sources, ours.generator, None).begin(cells)
    assert {len(request.boxes) for request in seen} <= {0, 1}  # photos of nothing have none
    (box,) = {request.boxes for request in seen if request.boxes}
    size = ours.train.original_size(int(ours.hard[0]))  # type: ignore[misc]
    # what generators are given is a square, cut from the middle
    cut = (size[1] - size[0]) / 2 / size[1]
    assert box[0][:2] == pytest.approx((0.0, 0.25))
    assert box[0][2] == pytest.approx((0.5 - cut) * size[1] / size[0])
    again, elsewhere = bench(LEFT).bank_id, bench([0.5, 0.25, 0.5, 0.5]).bank_id
    assert ours.bank_id == again != elsewhere


def test_runs_without_images_have_the_id_they_have_without_boxes(
    bench: Callable[..., Bench],
) -> None:
    def ids(box: list[float], *settings: str) -> list[str]:
        spec, parts = bench(box, *settings).spec, PartCache()
        return [run_json(spec, strategy, 0, parts) for strategy in ("real_only", "all_levels")]

    one, other, plain = ids(LEFT), ids([0.5, 0.25, 0.5, 0.5]), ids(LEFT, "generator.name=img2img")
    assert one[0] == other[0] == plain[0]
    assert len({one[1], other[1], plain[1]}) == 3


def test_photos_without_a_box_are_refused_before_any_work_or_fail(
    bench: Callable[..., Bench],
) -> None:
    some = bench(LEFT, 'generator.without_box="refuse"', without=40)
    with pytest.raises(UserError, match=r"hard photos have no box \(the first: train/"):
        some.fill([50], no_progress)
    none = 'dataset.boxes=""'
    with pytest.raises(UserError, match=r"dataset 'iwildcam' has none here; set dataset.boxes"):
        bench(LEFT, none, 'generator.without_box="refuse"')
    assert not np.any(bench(LEFT, none).sources.boxes(0))  # type: ignore[misc]
