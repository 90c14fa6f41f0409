"""timm backbones with weights of one's own."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from discl.core.errors import UserError
from discl.core.interfaces import Task
from discl.core.registry import bind

TASK = Task(("cat", "dog", "ship"), ((), (), ()), 32)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_file(timm.create_model("test_resnet", num_classes=3).state_dict(), str(file))
    return file


def _part(**parameters: Any) -> Any:
    return bind("backbones", "timm", {"model": "test_resnet", **parameters}).build()


@pytest.mark.parametrize("place", ["file", "folder"])
def test_weights_are_read_with_their_head_where_the_classes_are_as_many(
    weights: Path, place: str
) -> None:
    part = _part(weights=str(weights if place == "file" else weights.parent))
    three, five = part.network(3, 0).state_dict(), part.network(5, 0).state_dict()
    stored = timm.create_model("test_resnet", num_classes=3)
    stored.load_state_dict({key: three[key] for key in stored.state_dict()})
    assert torch.equal(part.network(3, 1).fc.weight, three["fc.weight"])
    assert torch.equal(three["conv1.0.weight"], five["conv1.0.weight"])
    assert torch.equal(part.trunk(TASK, 7).state_dict()["conv1.0.weight"], three["conv1.0.weight"])
    assert not torch.equal(five["fc.weight"], part.network(5, 1).fc.weight)


def test_the_identity_is_the_digest_of_the_weights_and_not_their_place(
    weights: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "elsewhere.safetensors"
    copy.write_bytes(weights.read_bytes())
    here, there = (
        bind("backbones", "timm", {"model": "test_resnet", "weights": str(path)})
        for path in (weights, copy)
    )
    assert here.identity() == there.identity()
    assert here.build().identity() == there.build().identity() != {}
    assert _part().identity() == {}


def test_weights_of_another_network_are_refused(weights: Path) -> None:
    with pytest.raises(
        UserError, match=r"holds the weights of another network than timm's 'resnet10t'.*differs"
    ):
        _part(model="resnet10t", weights=str(weights)).build(TASK, 0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model.pt", "is not one safetensors file"),
        ("broken.safetensors", "is no safetensors file"),
        ("missing", "no such folder"),
    ],
)
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, name: str, message: str) -> None:
    if name != "missing":
        (tmp_path / name).write_bytes(b"\x80\x04 not weights")
    with pytest.raises(UserError, match=message):
        _part(weights=str(tmp_path / name)).build(TASK, 0)


def test_two_sources_of_weights_exclude_each_other(weights: Path) -> None:
    with pytest.raises(UserError, match="exclude each other"):
        _part(weights=str(weights), pretrained=True)


@pytest.mark.parametrize("model", ["test_resnet", "test_vit", "test_convnext"])
def test_a_cosine_head_gives_scaled_cosines_of_features_and_class_weights(model: str) -> None:
    network = _part(model=model, head="cosine", cosine_scale=20.0).build(TASK, 0).eval()
    photos = torch.randn(2, 3, 160, 160, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features = network.forward_head(network.forward_features(photos), pre_logits=True)
        weight = network.get_classifier().weight
        expected = [
            [20 * float(row @ each / row.norm() / each.norm()) for each in weight]
            for row in features
        ]
        assert torch.allclose(network(photos), torch.tensor(expected), atol=1e-4)
    assert network.cosine_scale == 20.0


def test_a_cosine_head_takes_over_a_stored_head(weights: Path) -> None:
    cosine = _part(weights=str(weights), head="cosine").network(3, 0).fc.weight
    linear = _part(weights=str(weights)).network(3, 0).fc.weight
    assert torch.allclose(cosine, torch.nn.functional.normalize(linear, dim=1))


@pytest.mark.parametrize("model", ["levit_128s", "deit_tiny_distilled_patch16_224"])
def test_a_network_without_one_linear_layer_at_its_end_has_no_cosine_head(model: str) -> None:
    with pytest.raises(UserError, match=f"timm's '{model}' ends in no single linear layer"):
        _part(model=model, head="cosine").build(TASK, 0)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"head": "cosin"}, "did you mean 'cosine'"),
        ({"head": "cosine", "cosine_scale": 0.0}, "cosine_scale = 0"),
    ],
)
def test_wrong_heads_are_named(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        _part(**parameters)


def test_published_weights_that_cannot_be_had_are_a_sentence_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    expected = (
        r"backbone.pretrained = true: 'test_resnet' is not in the Hub's cache and the Hub did not"
        r" deliver timm/test_resnet.r160_in1k: HF_HUB_OFFLINE is set; unset it, give"
        r" backbone.weights = FILE, or point HF_HOME at a cache that has it"
    )
    for use in (lambda part: part.fetch(), lambda part: part.network(3, 0)):
        with pytest.raises(UserError, match=expected):
            use(_part(pretrained=True))
    with pytest.raises(UserError, match=r"timm has no weights of 'botnet50ts_256'"):
        _part(pretrained=True, model="botnet50ts_256").fetch()


def test_published_weights_are_taken_from_the_cache_without_asking(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--timm--test_resnet.r160_in1k"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    snapshot = folder / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    stored = timm.create_model("test_resnet", num_classes=1000).state_dict()
    save_file(stored, str(snapshot / "model.safetensors"))
    part = _part(pretrained=True)
    part.fetch()
    assert torch.equal(part.network(3, 0).state_dict()["conv1.0.weight"], stored["conv1.0.weight"])


@pytest.mark.parametrize("model", ["resnet18", "resnet50", "mobilenetv3_small_100", "levit_128"])
def test_the_modules_of_a_head_are_those_that_timm_names(model: str) -> None:
    named = timm.get_pretrained_cfg(model).classifier
    modules = _part(model=model).head_modules
    assert modules == ((named,) if isinstance(named, str) else named)
