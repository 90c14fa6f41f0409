"""Which errors mean that memory has run out."""

from __future__ import annotations

import pytest
import torch

from discl.core.errors import is_out_of_memory

SAID_BY_LIBRARIES = [
    "CUDA out of memory. Tried to allocate 2.00 GiB",
    "CUDA error: out of memory",
    "MPS backend out of memory (MPS allocated: 9.0 GB)",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear if you passed in a"
    " non-contiguous input.",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "CUDA error: CUBLAS_STATUS_NOT_SUPPORTED when calling `cublasGemmEx(...)`",
    "cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`",
    "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried",
]


@pytest.mark.parametrize("said", SAID_BY_LIBRARIES)
def test_a_runtime_error_of_a_library_may_mean_that_memory_ran_out(said: str) -> None:
    assert is_out_of_memory(RuntimeError(said))


def test_so_do_the_errors_of_torch_and_of_python() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("whatever it says"))
    assert is_out_of_memory(MemoryError())


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: device-side assert triggered"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
        RuntimeError("Expected all tensors to be on the same device"),
        ValueError("CUDA out of memory"),  # no error of torch: somebody writes about one
        KeyboardInterrupt(),
    ],
    ids=str,
)
def test_others_do_not(error: BaseException) -> None:
    assert not is_out_of_memory(error)
