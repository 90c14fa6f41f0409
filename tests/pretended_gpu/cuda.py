"""`torch.cuda` as a machine with one device answers; what needs a driver of its own is replaced."""

from __future__ import annotations

from typing import Any

import torch
import torch._dynamo  # it lists torch's functions, of which it takes each name for another
import torch.amp.autocast_mode
import torch.amp.grad_scaler
import torch.cuda.amp.common

from tests.pretended_gpu import tensor

NAME = "Pretended GPU"
_MEMORY = 141 << 30


class Properties:
    """Of the one device there is."""

    major, minor = 9, 0
    multi_processor_count = 132
    total_memory = _MEMORY
    name = NAME


class Event:
    """A place in the queue of work; to wait for it is a wait."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def record(self, stream: Any = None) -> None:
        """Work is done when it is asked for, so there is nothing to remember."""

    def synchronize(self) -> None:
        tensor.wait("synchronize")

    def query(self) -> bool:
        return True


class Stream(Event):
    """The one queue of work."""

    def record_event(self, event: Event | None = None) -> Event:
        return event or Event()


def _yes(*_: Any) -> bool:
    return True


def _no(*_: Any) -> bool:
    return False


def _nothing(*_: Any) -> None:
    return None


def _synchronize(*_: Any) -> None:
    tensor.wait("synchronize")


_OnCpu = torch.Generator


class _AnyGenerator(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, _OnCpu)


class Generator(metaclass=_AnyGenerator):
    """One for the device draws on the CPU as well; the device takes no other."""

    def __new__(cls, device: Any = "cpu") -> Any:
        made = _OnCpu("cpu")
        if torch.device(device).type == "cuda":
            tensor.generators_there.append(made)
        return made


_ANSWERS: dict[str, Any] = {
    "_lazy_init": _nothing,
    "is_available": _yes,
    "device_count": lambda: 1,
    "current_device": lambda: 0,
    "is_initialized": _no,  # else libraries look for their kernels in it
    "get_device_name": lambda *_: NAME,
    "get_device_properties": lambda *_: Properties,
    "get_device_capability": lambda *_: (Properties.major, Properties.minor),
    "mem_get_info": lambda *_: (_MEMORY - (1 << 30), _MEMORY),
    "is_bf16_supported": _yes,
    "set_device": _nothing,
    "manual_seed": _nothing,
    "manual_seed_all": _nothing,
    "empty_cache": _nothing,
    "max_memory_allocated": lambda *_: 0,
    "memory_allocated": lambda *_: 0,
    "reset_peak_memory_stats": _nothing,
    "synchronize": _synchronize,
    "current_stream": lambda *_: Stream(),
    "default_stream": lambda *_: Stream(),
    "Event": Event,
    "Stream": Stream,
    "get_rng_state": lambda *_: torch.get_rng_state(),
    "set_rng_state": lambda state, *_: torch.set_rng_state(state),
}


def answer() -> None:
    """Replace what asks the driver; autograd, autocast and GradScaler stay the real ones."""
    for name, replaced in _ANSWERS.items():
        setattr(torch.cuda, name, replaced)
    torch.cuda.amp.common.amp_definitely_not_available = _no
    torch.amp.grad_scaler.amp_definitely_not_available = _no
    torch.amp.autocast_mode.is_available = _yes
    torch.Generator = Generator  # type: ignore[assignment,misc]
    torch.Tensor.pin_memory = tensor.pinned  # type: ignore[method-assign]
    # wrapped tensors have no place in it, and it only saves time
    torch.inference_mode = lambda *_: torch.no_grad()  # type: ignore[assignment,misc]
    torch.__future__.set_swap_module_params_on_conversion(True)


def answer_in_thread() -> None:
    """What torch keeps for each thread apart."""
    torch.autograd.set_multithreading_enabled(False)
    torch._C._set_only_lift_cpu_tensors(True)  # `torch.tensor(x, device="cuda")` is a copy
