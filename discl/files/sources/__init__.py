"""Where a dataset's files can be had, and their download: resumed, checked and unpacked.

- remote.py: a file on the web, its addresses, size and digest.
- reach.py: whether a host and the Hugging Face Hub answer, and what the Hub refuses and why.
- origin.py: who answers at an address, and redirects that stay there.
- downloading.py: the bytes of a file from its addresses, gone on with where they broke off.
- unpacking.py: archives, of which nothing leaves its folder.
- source.py: sources of a whole dataset, and its folder filled from the first that delivers.
"""

from discl.files.sources.downloading import download
from discl.files.sources.origin import OneOrigin, Origin, public
from discl.files.sources.reach import host_is_reachable, hub_bytes, hub_is_reachable
from discl.files.sources.remote import Address, RemoteFile, format_bytes
from discl.files.sources.source import (
    MAX_AUTOMATIC_BYTES,
    Archives,
    ByHand,
    Hub,
    Source,
    obtain,
)
from discl.files.sources.unpacking import safe_path, unpack

__all__ = [
    "MAX_AUTOMATIC_BYTES",
    "Address",
    "Archives",
    "ByHand",
    "Hub",
    "OneOrigin",
    "Origin",
    "RemoteFile",
    "Source",
    "download",
    "format_bytes",
    "host_is_reachable",
    "hub_bytes",
    "hub_is_reachable",
    "obtain",
    "public",
    "safe_path",
    "unpack",
]
