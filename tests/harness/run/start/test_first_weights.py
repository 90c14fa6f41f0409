"""A run may begin from somebody's checkpoint; what does not fit is named before any work."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from discl.config.benchmark import Benchmark
from discl.config.experiment import experiments
from discl.config.load import load
from discl.core.errors import UserError
from discl.files.networks import state_file
from discl.harness.run.assembly import Bench
from discl.harness.run.start.first_weights import FirstWeights, first_weights
from discl.harness.run.store import Store
from tests.starts import cold, made


def _quiet(*_: object) -> None:
    return None


def _network(photos: Path) -> dict[str, torch.Tensor]:
    """Weights of the network of these runs, none of which it draws."""
    bench = Bench(cold(photos))
    return {
        name: tensor + 1 if tensor.is_floating_point() else tensor
        for name, tensor in bench.inputs.network(0).state_dict().items()
    }


def _spec(photos: Path, weights: Path, *more: str) -> Benchmark:
    return cold(photos, f"train.start.weights={weights}", *more)


def _begun(spec: Benchmark) -> dict[str, torch.Tensor]:
    bench = Bench(spec)
    first = first_weights(bench, 0, _quiet)
    assert first is not None
    return first.put_into(bench.inputs.network(0)).state_dict()


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_runs_begin_from_a_checkpoint_by_its_content_and_not_its_place(
    suffix: str, cifar100_photos: Path, tmp_path: Path
) -> None:
    weights = _network(cifar100_photos)
    file, moved = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": {f"module.{k}": v for k, v in weights.items()}}, file)
    else:
        save_file(weights, file)
    spec = _spec(cifar100_photos, file, "strategies=['real_only']")
    begun = _begun(spec)
    assert all(torch.equal(begun[name], weights[name]) for name in weights)
    ids = {experiments(spec)[0].id()}
    file.rename(moved)
    spec = _spec(cifar100_photos, moved, "strategies=['real_only']")
    ids |= {experiments(spec)[0].id()}
    assert len(ids) == 1
    ids |= {experiments(cold(cifar100_photos, "strategies=['real_only']"))[0].id()}
    assert len(ids) == 2


def test_a_result_says_which_checkpoint_its_run_began_from(
    cifar100_photos: Path, tmp_path: Path
) -> None:
    save_file(_network(cifar100_photos), tmp_path / "a.safetensors")
    spec = _spec(cifar100_photos, tmp_path / "a.safetensors", "strategies=['real_only']")
    (result,) = made(spec)
    assert result.identity["start"]["weights"] == result.provenance["start"]["weights"]
    assert "shared_start_steps" not in result.cost
    assert Store().find(result.id) == result


def test_the_first_parameter_that_does_not_fit_is_named(
    cifar100_photos: Path, tmp_path: Path
) -> None:
    file = tmp_path / "a.safetensors"
    weights = _network(cifar100_photos)
    lacking = {name: value for name, value in weights.items() if name != "bn1.weight"}
    wide = weights | {"layer1.0.conv1.weight": torch.zeros(9, 8, 3, 3)}
    more = weights | {"layer5.weight": torch.zeros(1)}
    for given, fault in (
        (lacking, "it has no 'bn1.weight'; set backbone.model"),
        (wide, r"'layer1.0.conv1.weight' has the shape \[9, 8, 3, 3\] there and \[8, 8, 3, 3\]"),
        (more, "its 'layer5.weight' is in no place of it"),
    ):
        save_file(given, file)
        with pytest.raises(UserError, match=f"^train.start.weights = .*{fault}"):
            _begun(_spec(cifar100_photos, file))


def test_other_classes_are_refused_or_get_a_new_head(cifar100_photos: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    weights = _network(cifar100_photos)
    fewer = weights | {"fc.weight": weights["fc.weight"][:7], "fc.bias": weights["fc.bias"][:7]}
    save_file(fewer, file)
    with pytest.raises(UserError, match=r"'fc.weight' has .* set train.start.head = \"new\""):
        _begun(_spec(cifar100_photos, file))
    begun = _begun(_spec(cifar100_photos, file, "train.start.head=new"))
    drawn = Bench(cold(cifar100_photos)).inputs.network(0).state_dict()
    assert torch.equal(begun["fc.weight"], drawn["fc.weight"])
    assert torch.equal(begun["conv1.0.weight"], weights["conv1.0.weight"])
    classes = list(Bench(cold(cifar100_photos)).dataset.classes)
    state_file.save(file, weights, {"classes": [*classes[:-1], "unicorn"]}, "a network")
    with pytest.raises(UserError, match=r"trained on other classes \('unicorn' there, "):
        _begun(_spec(cifar100_photos, file))


def test_a_resnet_10_as_torchvision_builds_it_fits_the_backbone_of_imagenet_lt() -> None:
    from torchvision.models.resnet import BasicBlock, ResNet

    theirs = ResNet(BasicBlock, [1, 1, 1, 1], num_classes=1000)  # and LDMLR's, by its names
    ours = load("imagenet_lt", "paper").part("backbones").build().network(1000, 0)
    first = FirstWeights(theirs.state_dict(), "theirs", {}, {})
    first.put_into(ours)
    photos = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(photos), theirs.eval()(photos))
