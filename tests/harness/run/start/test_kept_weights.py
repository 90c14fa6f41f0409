"""Weights that a run keeps are those of its last epoch, and timm builds its network of them."""

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from click.testing import CliRunner
from PIL import Image

from discl.cli import main
from discl.core.conventions import LAST, VAL
from discl.core.errors import UserError
from discl.core.result import Result
from discl.engine.evaluation.predict import Normaliser
from discl.harness.doctor.stored import verify_all
from discl.harness.inspect.export_weights import export_weights
from discl.harness.inspect.lookup import find
from discl.harness.run.assembly import Bench
from discl.harness.run.start.first_weights import first_weights
from discl.harness.run.start.kept import kept_weights
from discl.harness.run.store import Store
from discl.parts.backbones.timm import Timm
from tests.faults.damage import flip_bit
from tests.starts import cold, made

KEEPS = (
    "strategies=['real_only']",
    "store.weights=last",
    "train.epochs=2",
    "train.side=16",
    "backbone.stages=4",
)


def _kept(photos: Path) -> Result:
    (result,) = made(cold(photos, *KEEPS))
    return result


def test_timm_builds_the_network_of_a_run_from_an_export_and_it_answers_the_same(
    cifar100_photos: Path, tmp_path: Path
) -> None:
    result = _kept(cifar100_photos)
    folder = tmp_path / "network"
    said = CliRunner().invoke(main, ["runs", "export-weights", result.id, "--to", str(folder)])
    assert said.exit_code == 0, said.output
    network = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    bench = Bench(cold(cifar100_photos, *KEEPS))
    config = json.loads((folder / "config.json").read_text())
    assert config["label_names"] == list(bench.dataset.classes)
    assert config["pretrained_cfg"]["mean"] == list(bench.backbone.mean)
    assert config["pretrained_cfg"]["input_size"] == [3, 16, 16]
    test = bench.dataset.split("test")
    photos = torch.from_numpy(np.array(test.pixels[:64]))
    normalised = Normaliser(bench.backbone.mean, bench.backbone.std, 0, 16)(photos)
    with torch.no_grad():
        logits = network(normalised).numpy()
    store = Store()
    rule = LAST if result.chosen_epoch != 1 else VAL
    saved = store.predictions(store.folder(result), rule.predictions)
    assert np.allclose(logits, saved["test/logits"][:64], atol=1e-4)
    weights, about = kept_weights(store.folder(result))
    assert about["epoch"] == 1
    assert all(torch.equal(network.state_dict()[name], weights[name]) for name in weights)


def test_an_export_is_a_start_for_other_runs(cifar100_photos: Path, tmp_path: Path) -> None:
    result = _kept(cifar100_photos)
    export_weights(find(Store(), result.id), tmp_path / "network")
    bench = Bench(
        cold(cifar100_photos, "backbone.stages=4", f"train.start.weights={tmp_path / 'network'}")
    )
    first = first_weights(bench, 0, lambda *_: None)
    assert first is not None
    begun = first.put_into(bench.inputs.network(0)).state_dict()
    weights, _ = kept_weights(Store().folder(result))
    assert all(torch.equal(begun[name], weights[name]) for name in weights)


def test_damaged_weights_are_not_exported_and_verify_sets_them_aside(
    cifar100_photos: Path, tmp_path: Path
) -> None:
    result = _kept(cifar100_photos)
    path = Store().folder(result) / "weights.safetensors"
    flip_bit(path, 0.9)
    with pytest.raises(UserError, match="weights.safetensors is damaged"):
        export_weights(find(Store(), result.id), tmp_path / "network")
    assert not (tmp_path / "network").exists()
    (fault,) = verify_all(tmp_path / "none", repair=True).faults
    assert "it is now weights.safetensors.damaged" in fault
    assert verify_all(tmp_path / "none", repair=False).faults == []
    assert Store().find(result.id) == result


@pytest.mark.parametrize(
    ("crop", "side", "seen", "share"), [(0, 0, 32, 1), (28, 0, 28, 28 / 32), (24, 16, 16, 24 / 32)]
)
def test_timm_is_told_what_of_a_photo_the_network_sees(
    crop: int, side: int, seen: int, share: float
) -> None:
    config = Timm().timm_config(10, [32, 32], crop, side)["pretrained_cfg"]
    photos = timm.data.create_transform(
        **timm.data.resolve_data_config(pretrained_cfg=config), is_training=False
    )
    # the middle white, and what is cut away black
    edge = (32 - crop) // 2 if crop else 0
    photo = np.zeros((32, 32, 3), np.uint8)
    photo[edge : 32 - edge, edge : 32 - edge] = 255
    assert config["crop_pct"] == share
    given = photos(Image.fromarray(photo))
    assert given.shape == (3, seen, seen)
    assert (given[:, 1:-1, 1:-1] == given.max()).all()  # but for the edge, where pixels mix


def test_what_cannot_be_exported_says_why(cifar100_photos: Path, tmp_path: Path) -> None:
    (bare,) = made(cold(cifar100_photos, "strategies=['real_only']"))
    with pytest.raises(UserError, match="kept no weights; .* --set store.weights=last"):
        export_weights(find(Store(), bare.id), tmp_path / "network")
    for setting, says in (("stem_stride", "changes the stem"), ("stages", "leaves stages out")):
        (other,) = made(cold(cifar100_photos, *KEEPS, f"backbone.{setting}=2"))
        with pytest.raises(UserError, match=rf"for timm: backbone.{setting} = 2 {says}"):
            export_weights(find(Store(), other.id), tmp_path / "network")


def test_keeping_weights_changes_no_id(cifar100_photos: Path) -> None:
    from discl.config.experiment import experiments

    kept, bare = (
        experiments(cold(cifar100_photos, "strategies=['static']", f"store.weights={which}"))[0]
        for which in ("last", "none")
    )
    assert kept.id() == bare.id()
