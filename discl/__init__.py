"""DisCL harness: does a synthetic-to-real curriculum help on your data, and at what price?"""

from discl import _torchvision, _waiting
from discl.version import __version__

__all__ = ["__version__"]

_torchvision.install()
_waiting.install()
