"""What every dataset says of where it can be had, and the page that confirms it."""

import re
from pathlib import Path

import pytest

from discl.core import registry
from discl.files.sources import Archives, RemoteFile

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "sources.md").read_text("utf-8")


def _files() -> dict[str, list[RemoteFile]]:
    """Dataset -> the files it may fetch."""
    files = {}
    for name in registry.names("datasets"):
        sources = getattr(registry.find("datasets", name), "sources", ())
        files[name] = [
            file for source in sources if isinstance(source, Archives) for file in source.files
        ]
    return {name: listed for name, listed in files.items() if listed}


def _telling(url: str) -> list[str]:
    """The parts of an address by which the page tells it from others."""
    if "raw.githubusercontent.com" in url:
        owner, name, commit = url.split("/")[3:6]
        return [f"{owner}/{name}", commit]
    if "drive.google.com" in url:
        return [url.partition("id=")[2]]
    return [url.rpartition("/")[0]]


DATASETS = _files()


@pytest.mark.parametrize("name", DATASETS)
def test_no_file_is_trusted_without_a_digest(name: str) -> None:
    for file in DATASETS[name]:
        by_the_hub = re.match(r"hf://datasets/[^@/]+/[^@/]+@[0-9a-f]{40}/", file.url)
        assert re.fullmatch("[0-9a-f]{64}", file.sha256) or (by_the_hub and file.terms)
        assert file.bytes or by_the_hub
        assert re.fullmatch("([0-9a-f]{32})?", file.md5)


@pytest.mark.parametrize("name", DATASETS)
def test_the_page_names_every_size_digest_address_and_known_failure(name: str) -> None:
    for file in DATASETS[name]:
        if not file.sha256:
            assert file.terms in PAGE
            assert file.url.partition("@")[2].partition("/")[0] in PAGE
            continue
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{file.name}`"))
        assert f"{file.bytes:,}" in row
        assert file.sha256 in row
        assert file.md5 in row
        for path, md5 in file.holds:
            assert f"| `{path}` inside | | MD5 `{md5}` |" in PAGE
        for address in file.addresses:
            assert all(part in PAGE for part in _telling(address.web())), address
            for issue in re.findall(r"issues? (\d+)(?: and (\d+))?", address.failing):
                assert all(f"/issues/{number}" in PAGE for number in issue if number)
            if address.failing:
                assert re.search(r"since 20\d\d-\d\d-\d\d", address.failing)


def test_only_large_or_gated_downloads_wait_to_be_asked_for() -> None:
    automatic = {name: registry.find("datasets", name).sources[0].automatic for name in DATASETS}
    assert automatic == {
        "cifar100_lt": True,
        "imagenet_lt": False,
        "inaturalist2018": False,
        "iwildcam": False,
        "places_lt": False,
    }
