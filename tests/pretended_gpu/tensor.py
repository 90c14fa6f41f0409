"""A tensor that says `cuda:0` and holds its values on the CPU; every operator on it passes here."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

from tests.pretended_gpu.ledger import Ledger

LEDGER = Ledger()
_DEVICE = torch.device("cuda", 0)
_CPU = torch.device("cpu")
_UNREADY = 0x7F  # what bytes hold whose copy nobody has waited for

# operators whose answer decides what the host does next, so that it waits for the device
_WAITS = {
    "_local_scalar_dense": "item",
    "is_nonzero": "item",
    "equal": "equal",
    "nonzero": "nonzero",
    "masked_select": "masked_select",
    "_unique2": "unique",
    "unique_dim": "unique",
    "unique_consecutive": "unique",
    "bincount": "bincount",
    "histc": "histc",
    "_linalg_check_errors": "linear algebra",
}
_ANSWERS_THE_HOST = ("_local_scalar_dense", "equal", "is_nonzero")
# these take tensors of several devices: copies, and those that are handed host's indices
_MIXES = {
    *("copy_", "_foreach_copy_", "set_", "_local_scalar_dense"),
    *("index", "_unsafe_index", "index_put", "index_put_", "_index_put_impl_"),
}
_INDEXES = {"index", "_unsafe_index", "index_put", "index_put_", "_index_put_impl_"}
# a GPU's kernels take one type; some of the CPU's are less strict
_ONE_TYPE = {
    *("mm", "addmm", "bmm", "baddbmm", "addbmm", "matmul", "dot", "mv"),
    *("convolution", "_convolution", "convolution_overrideable"),
    *("_scaled_dot_product_attention_math", "scaled_dot_product_attention"),
}


class MixedError(RuntimeError):
    """Devices or types that a GPU refuses to take together."""


class PretendedTensor(torch.Tensor):
    """Says `cuda:0`; `held` are its values."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> PretendedTensor:
        made: PretendedTensor = torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device=_DEVICE,
            requires_grad=held.requires_grad,
        )
        made.held = held.detach() if held.requires_grad else held
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(
        cls, operator: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return operate(operator, args, kwargs or {})

    def __repr__(self, **_: Any) -> str:
        return f"cuda:0 of {self.held!r}"

    def tolist(self) -> Any:
        wait("download")
        return self.held.tolist()

    def numpy(self, *_: Any, **__: Any) -> Any:
        raise TypeError(
            "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor"
            " to host memory first."
        )

    def __array__(self, *_: Any, **__: Any) -> Any:
        return self.numpy()

    def data_ptr(self) -> int:
        return self.held.data_ptr()

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) in memo:
            return memo[id(self)]
        with torch.no_grad():
            copied: torch.Tensor = PretendedTensor(self.held.clone())
        if isinstance(self, torch.nn.Parameter) or getattr(self, "_is_param", False):
            copied = torch.nn.Parameter(copied, self.requires_grad)
        else:
            copied.requires_grad_(self.requires_grad)
        memo[id(self)] = copied
        return copied


class Interception(TorchDispatchMode):
    """Sees the operators that get no tensor of the device but make one."""

    def __torch_dispatch__(
        self, operator: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return operate(operator, args, kwargs or {})


# ---------------------------------------------------------------- the host and the device

# storages of pinned memory by their address; kept, since an address is given out again
_pinned: dict[int, torch.UntypedStorage] = {}
# downloads that nobody has waited for yet: where to, and what is to be there
_unready: list[tuple[weakref.ref[torch.Tensor], torch.Tensor]] = []

generators_there: list[torch.Generator] = []  # those that were made for the device


def wait(what: str) -> None:
    """The host waits; what it asked for before is there after that."""
    LEDGER.note(f"wait: {what}")
    _arrive()


def _arrive() -> None:
    for place, values in _unready:
        target = place()
        if target is not None:
            target.copy_(values)
    _unready.clear()


def pinned(tensor: torch.Tensor, *_: Any) -> torch.Tensor:
    """A copy in pinned memory, as `Tensor.pin_memory` makes one."""
    copied = tensor.clone(memory_format=torch.preserve_format)
    _pinned[copied.untyped_storage().data_ptr()] = copied.untyped_storage()
    return copied


def _is_pinned(tensor: torch.Tensor) -> bool:
    return tensor.untyped_storage().data_ptr() in _pinned


def _uploaded(source: torch.Tensor, is_async: bool) -> None:
    if not _is_pinned(source):
        LEDGER.note("pageable upload" if is_async else "wait: pageable upload")
    elif not is_async:
        LEDGER.note("wait: upload")


def _downloaded(values: torch.Tensor, is_async: bool) -> torch.Tensor:
    if not is_async:
        wait("download")
        return values
    target = torch.empty_like(values)
    target.untyped_storage().fill_(_UNREADY)
    _unready.append((weakref.ref(target), values))
    return target


# ---------------------------------------------------------------- operators


def operate(operator: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """An operator's answer, on whichever device it belongs."""
    name = operator._schema.name.split("::")[1]
    given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    here = [leaf for leaf in given if isinstance(leaf, PretendedTensor)]
    if not here and not _is_the_device(kwargs.get("device")):
        return operator(*args, **kwargs)
    if name == "_to_copy":
        return _converted(operator, args, kwargs)
    if name == "copy_":
        return _copied_into(args)
    if name == "_fused_sdp_choice":
        return 0  # attention by its definition
    others = [leaf for leaf in given if not isinstance(leaf, PretendedTensor)]
    _check_devices(operator, name, here, others, kwargs)
    _check_types(operator, name, given)
    if name in _INDEXES:
        _check_indices(operator, args)
    if here and name in _WAITS:
        wait(_WAITS[name])
    if name == "repeat_interleave" and kwargs.get("output_size") is None:
        wait("repeat_interleave")
    kwargs_there = {key: _CPU if key == "device" else value for key, value in kwargs.items()}
    if name != "pin_memory":
        kwargs_there.pop("pin_memory", None)
    answer = operator(*tree_map(_held, args), **tree_map(_held, kwargs_there))
    if name in _ANSWERS_THE_HOST:
        return answer
    return return_and_correct_aliasing(operator, args, kwargs, tree_map(_wrapped, answer))


def _held(value: Any) -> Any:
    return value.held if isinstance(value, PretendedTensor) else value


def _wrapped(value: Any) -> Any:
    is_plain = isinstance(value, torch.Tensor) and not isinstance(value, PretendedTensor)
    return PretendedTensor(value) if is_plain else value


def _is_the_device(device: Any) -> bool:
    if device is None:
        return False
    return isinstance(device, int) or torch.device(device).type == "cuda"


def _converted(operator: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    source, device = args[0], kwargs.get("device")
    is_async = bool(kwargs.get("non_blocking"))
    was_there = isinstance(source, PretendedTensor)
    goes_there = was_there if device is None else _is_the_device(device)
    options = {key: kwargs[key] for key in kwargs.keys() - {"device", "pin_memory"}}
    made = operator(_held(source), *args[1:], **options)
    if made.data_ptr() == _held(source).data_ptr() and source.numel():
        made = made.clone()
    if goes_there and not was_there:
        _uploaded(source, is_async)
    if was_there and not goes_there:
        made = _downloaded(made, is_async)
    return PretendedTensor(made) if goes_there else made


def _copied_into(args: Any) -> Any:
    target, source = args[0], args[1]
    is_async = len(args) > 2 and bool(args[2])
    if isinstance(target, PretendedTensor) and not isinstance(source, PretendedTensor):
        _uploaded(source, is_async)
    if isinstance(source, PretendedTensor) and not isinstance(target, PretendedTensor):
        wait("download")
    _held(target).copy_(_held(source))
    return target


def _check_devices(
    operator: Any, name: str, here: list[Any], others: list[Any], kwargs: dict[str, Any]
) -> None:
    drawing = kwargs.get("generator")
    if drawing is not None and all(drawing is not there for there in generators_there):
        raise MixedError(f"{operator}: Expected a 'cuda' device type for generator but found 'cpu'")
    # a number may come from anywhere
    strangers = [other for other in others if other.ndim > 0]
    if here and strangers and name not in _MIXES:
        raise MixedError(
            f"{operator}: Expected all tensors to be on the same device, but found cuda:0 and cpu"
            f" (of shapes {[tuple(stranger.shape) for stranger in strangers]})"
        )


def _check_types(operator: Any, name: str, given: list[Any]) -> None:
    types = {tensor.dtype for tensor in given if tensor.is_floating_point()}
    if name in _ONE_TYPE and len(types) > 1:
        raise MixedError(f"{operator}: Expected one type, but found {sorted(map(str, types))}")


def _check_indices(operator: Any, args: Any) -> None:
    if not isinstance(args[0], PretendedTensor):
        raise MixedError(
            f"{operator}: indices should be either on cpu or on the same device as the indexed"
            " tensor (cpu)"
        )
    for index in args[1]:
        if index is None:
            continue
        if not isinstance(index, PretendedTensor):
            LEDGER.note("wait: pageable upload")
        elif index.dtype in (torch.bool, torch.uint8):
            wait("boolean index")
