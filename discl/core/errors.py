"""Exceptions whose message is for the user."""

from __future__ import annotations

from collections.abc import Iterable

LONGEST_SHOWN = 200  # characters of a value in a message


class UserError(Exception):
    """Bad input or a bad environment: a sentence with the value, the cause and the way out.

    The command line exits with 2.
    """


# what code and files of others may end with: a plug-in may call sys.exit when it is imported
FOREIGN = (Exception, SystemExit)


class DiskError(UserError):
    """The disk is full or read-only, so that all further work would fail too."""


# what a RuntimeError of torch or of a library of CUDA says where memory has run out: their first
# call allocates a workspace, and a GPU with no room for it answers with the library's own status
_MEMORY_IS_OUT = (
    "out of memory",  # CUDA's, XPU's and MPS's
    "DefaultCPUAllocator: can't allocate memory",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_NOT_SUPPORTED",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_NOT_SUPPORTED",
    "CUSOLVER_STATUS_ALLOC_FAILED",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` means that memory, a GPU's or this machine's, was too small for the work.

    torch's OutOfMemoryError is a RuntimeError; so are those that carry a library's status alone.
    The caller lets go of the error before it tries less: its traceback holds what filled the
    memory.
    """
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and (
        any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__)
        or any(sign in str(error) for sign in _MEMORY_IS_OUT)
    )


def unknown(what: str, given: str, known: Iterable[str]) -> UserError:
    """The error for a name that is not among the `known`, with the nearest one or all of them.

    For example: no strategy called 'adaptve'; did you mean 'adaptive'?
    """
    import difflib  # only where something is wrong: every command imports this module

    names = sorted(known)
    nearest = difflib.get_close_matches(given[:LONGEST_SHOWN], names, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"there is {', '.join(names) or 'none'}"
    return UserError(f"no {what[:LONGEST_SHOWN]} called {shown(given)}; {hint}")


def reason(error: BaseException) -> str:
    """Why something of others failed, in one line."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, SystemExit):
        return f"it ends the program (sys.exit({error.code!r}))"
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def shown(value: object) -> str:
    """A value in a message: as Python writes it, cut where that is long."""
    try:
        written = repr(value)
    except ValueError:  # a whole number of more digits than Python writes
        return "a whole number of thousands of digits"
    return written if len(written) <= LONGEST_SHOWN else f"{written[: LONGEST_SHOWN - 1]}…"
