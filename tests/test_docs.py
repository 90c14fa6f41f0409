"""Types what the documentation tells people to type.

Each page is run from its first line to its last, in an empty folder, over miniature photos.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from discl.cli import main
from discl.config.load import load
from discl.config.toml import to_toml
from discl.core import registry
from discl.core.errors import UserError
from discl.core.registry import find
from tests import processes, trees
from tests.make_mini import make
from tests.pages import (
    DOCS,
    ROOT,
    SHELL,
    Block,
    blocks,
    check_words,
    commands,
    discl_of,
    pages,
    text_of,
)
from tests.shared import made_once
from tests.wandb_server import KEY, Server, serving

# languages of blocks that are tested, or are text; nothing would test another one
KNOWN = (*SHELL, "python", "toml", "text")
# 120 real photos in the place of CIFAR-10's, a small network, two epochs; images are made by the
# embedded generator itself, in as few steps as ten levels take
BENCHMARK = """
title = "CIFAR-10-LT"
trackers = ["console"]
dataset = { name = "folder", root = "photos" }
hard_rule = { max_class_images = 6 }
bank = { variants = 1 }
generator = { steps = 10, chunk = 8 }
train = { epochs = 2, curriculum_epochs = 1, evaluate_every = 2, batch = 32, warmup_epochs = 0 }

[backbone]
name = "timm"
model = "resnet18"
stem_stride = 4
arguments = { layers = [1, 1, 1, 1], channels = [8, 8, 8, 8], stem_type = "deep", stem_width = 4 }

[scale.smoke]
[scale.small]
[scale.paper]
"""
# words of the benchmark of own photos -> what tests put in their place
QUICKER = {
    'strategies = ["static", "adaptive", "real_only", "real_rebalanced"]': (
        'strategies = ["static", "real_only"]'
    ),
    "levels = [0, 50, 70, 100]": "levels = [0, 100]",
    "variants = 2": "variants = 1",
    "channels = [32, 64, 96, 128]": "channels = [8, 8, 8, 8]",
    "epochs = 6\ncurriculum_epochs = 5": "epochs = 2\ncurriculum_epochs = 1",
    "batch = 32": "batch = 8",
}
SWEEPS = {
    "losses": (
        'strategies = ["static", "real_rebalanced"]\n[grid]\n"loss.name" = ["ce",'
        ' "balanced_softmax"]'
    ),
    "order": (
        'seeds = [0, 1]\n[set]\nlevels = [0, 100]\n"train.epochs" = 2\n"train.curriculum_epochs" ='
        ' 2\n[order]\norders = "all"'
    ),
    "tune_static": (
        """strategies = ["static", "real_rebalanced"]
[space."train.lr"]
type = "float"
low = 1e-4
high = 3e-2
log = true
[tune]
trials = 2
round = 2
startup = 2
seeds = [0]"""
    ),
}

# pages that begin without an image
FROM_NOTHING = ("tutorial/images.md",)

# words of a page that stand for a reader's own -> what the tests put in their place
STAND_INS: dict[str, Callable[[pytest.FixtureRequest], str]] = {
    "postgresql://user:password@host/studies": lambda request: str(
        request.getfixturevalue("postgres").create_database()
    ),
    "https://wandb.example.org": lambda request: str(request.getfixturevalue("wandb_server").url),
    "your-key": lambda _: KEY,
}


@pytest.fixture
def wandb_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Stands for W&B, on loopback; the client that speaks to it is the real one."""
    with serving() as server:
        for name, value in server.environment().items():
            # shorter waits; the address of the server is set by the page itself
            if name.startswith("WANDB__"):
                monkeypatch.setenv(name, value)
        yield server
        assert server.runs, "nothing arrived"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos, and a home with the images that the benchmark makes from them."""

    def made(folder: Path) -> None:
        make("folder", folder / "photos", images=120)
        (folder / "benchmarks").mkdir()
        (folder / "benchmarks" / "cifar10_lt.toml").write_text(BENCHMARK)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DISCL_HOME", str(folder / "home"))
            patch.chdir(folder)
            built = CliRunner().invoke(main, ["bank", "build", "cifar10_lt"])
        assert built.exit_code == 0, built.output

    return made_once(tmp_path_factory, "photos of the pages", made)


@pytest.fixture
def folder(
    page: str, tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A folder with photos and small copies of the benchmarks and sweeps that pages name.

    Their images are there, but on the pages that show how to make them.
    """
    root = tmp_path / "folder"
    for kind in ("benchmarks", "sweeps"):
        (root / kind).mkdir(parents=True)
    shutil.copytree(photos / "photos", root / "photos")
    if page not in FROM_NOTHING:
        shutil.copytree(photos / "home", os.environ["DISCL_HOME"])
    (root / "benchmarks" / "cifar10_lt.toml").write_text(BENCHMARK)
    shipped = (ROOT / "benchmarks" / "folder.toml").read_text("utf-8")
    quick = shipped
    for written, instead in QUICKER.items():
        assert written in quick
        quick = quick.replace(written, instead, 1)
    (root / "benchmarks" / "folder.toml").write_text(
        'trackers = ["console"]\nhard_rule = { max_class_images = 6 }\n'
        f"generator = {{ steps = 4, chunk = 8 }}\n{quick}"
    )
    for name, text in SWEEPS.items():
        (root / "sweeps" / f"{name}.toml").write_text(f'benchmark = "cifar10_lt"\n{text}\n')
    monkeypatch.chdir(root)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield root
    registry.look_again()  # a page may have installed parts


# ---------------------------------------------------------------- running a page


class Reader:
    """Runs the blocks of a page in `folder`, from top to bottom."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, stand_ins: Mapping[str, str]
    ) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self._stand_ins = stand_ins
        self._python: dict[str, Any] = {"__name__": "page"}
        self._drawn = set[str]()  # files of the trees that the page draws
        self.said = dict[str, str]()  # what each command printed
        self._programs: dict[str, Callable[[list[str]], None]] = {
            "discl": self._discl,
            "make": self._make,
            "pip": self._pip,
            "python": self._module,
            "export": self._export,
        }

    def do(self, block: Block) -> None:
        if block.language in SHELL:
            for words in commands(block):
                assert words[0] in self._programs, (
                    f"nothing here runs {words[0]!r}; say why above the block: <!-- not run: needs"
                    " ... -->"
                )
                self._programs[words[0]](words[1:])
        elif block.language == "text" and trees.is_tree(block.text):
            self._drawn |= {name for name, _ in trees.files_of(block.text)}
            trees.plant(block.text, self.folder)
        elif block.title:
            if block.language == "text":
                assert block.title in self._drawn, f"no tree of the page has {block.title}"
            path = self.folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
        elif block.language == "python":
            exec(compile(block.text, f"{block.page}:{block.line}", "exec"), self._python)  # noqa: S102 - the repository's own text
        elif block.language == "toml":
            tomllib.loads(block.text)

    def check_drawn(self) -> None:
        """What trees show is there, lists included, which the page has to write."""
        absent = [name for name in self._drawn if not (self.folder / name).is_file()]
        assert not absent, f"the page draws {absent}, and does not say what is in them"

    def _discl(self, words: list[str]) -> None:
        words, target = _redirected(words)
        check_words(words)
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 0, f"discl {' '.join(words)}\n{done.output}"
        self.said[" ".join(words)] = done.output
        if target:
            Path(target).write_text(done.stdout)

    def _make(self, words: list[str]) -> None:
        """Run the `discl` commands that the Makefile would run."""
        printed = subprocess.run(
            ["make", "-n", "-C", str(ROOT), *words], capture_output=True, text=True, check=False
        )
        assert printed.returncode == 0, printed.stderr
        for line in re.findall(r"^\S*/discl (.*)$", printed.stdout, re.M):
            self._discl(line.split())

    def _pip(self, words: list[str]) -> None:
        """Install a package of the page into the folder of this test."""
        assert words[0] == "install"
        assert words[-1].startswith("./"), (
            f"{words[-1]} may be somebody else's package on PyPI; write ./{words[-1]}"
        )
        target = self.folder / "installed"
        pip = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            "--no-compile",
            "--no-build-isolation",
            "--target",
            str(target),
            words[-1],
        ]
        subprocess.run(pip, check=True, capture_output=True, timeout=120)
        sys.path.insert(0, str(target))
        importlib.invalidate_caches()
        registry.look_again()

    def _module(self, words: list[str]) -> None:
        assert words[0] == "-m"
        printed = self.folder.parent / "printed"
        path = ":".join([str(self.folder / "installed"), str(ROOT)])
        # half of pytest's start goes to the plug-ins of others
        environment = {"PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        begun = processes.begin(
            processes.module, words[1:], log=printed, folder=self.folder, environment=environment
        )
        assert begun.wait(250) == 0, printed.read_text("utf-8")

    def _export(self, words: list[str]) -> None:
        for word in words:
            name, _, value = word.partition("=")
            self._monkeypatch.setenv(name, self._stand_ins.get(value, value))
        if "WANDB_API_KEY" in os.environ:
            assert os.environ["WANDB_BASE_URL"].startswith("http://127.0.0.1:"), (
                "a test must send nothing to another server"
            )


def _redirected(words: list[str]) -> tuple[list[str], str]:
    """The words before '>', and the file after it; "" where there is none."""
    if ">" not in words:
        return words, ""
    position = words.index(">")
    return words[:position], words[position + 1]


@pytest.mark.parametrize("page", [page for page in pages() if blocks(page, text_of(page))])
def test_what_a_page_says_works(
    page: str, folder: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    text = text_of(page)
    stand_ins = {words: stand_in(request) for words, stand_in in STAND_INS.items() if words in text}
    reader = Reader(folder, monkeypatch, stand_ins)
    for block in blocks(page, text):
        where = f"{block.page}, line {block.line}"
        assert block.language in KNOWN, (
            f"{where}: nothing tests {block.language!r}; write {', '.join(KNOWN)}"
        )
        try:
            if block.reason:
                _check_only(block, folder, monkeypatch)
            else:
                reader.do(block)
        except Exception as error:
            raise AssertionError(f"{where}: {error}") from error
    reader.check_drawn()
    if page in AFTERWARDS:
        AFTERWARDS[page](reader.said)


def _cameras_are_unseen(said: Mapping[str, str]) -> None:
    """The table has a column of cameras that no training saw, and no burst is in two splits."""
    assert re.search(r"\bstatic\b", said["bench traps"])
    assert re.search(r"\bood\b", said["bench traps"])
    assert "ood/unseen" in said["data info traps"]
    rows = load("traps").part("datasets").build().manifest.rows.to_pylist()
    assert len(rows) == 72
    for column in ("group", "sequence"):
        unseen, seen = (
            {row[column] for row in rows if (row["split"] == "ood/unseen") is wanted}
            for wanted in (True, False)
        )
        assert unseen
        assert not unseen & seen
    splits = {(row["sequence"], row["split"]) for row in rows}
    assert len(splits) == len({sequence for sequence, _ in splits})


# what must be true once a page was followed
AFTERWARDS = {"howto/own-data.md": _cameras_are_unseen}


def _check_only(block: Block, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parse the commands of a block that cannot run here.

    With the benchmarks that are shipped, that the page wrote into `folder`, or that a line before
    makes of somebody's photos.
    """
    own = {path.stem for path in (folder / "benchmarks").glob("*.toml")}
    own -= {path.stem for path in (ROOT / "benchmarks").glob("*.toml")}
    for line in commands(block):
        words = discl_of(line)
        if words is None:
            continue
        with monkeypatch.context() as patch:
            patch.chdir(folder if own & set(words) else ROOT)
            check_words(words)
        if words[0] == "init":
            name = words[-1]
            (folder / "benchmarks" / f"{name}.toml").write_text(
                f'based_on = "folder"\ntitle = "{name}"\n'
            )
            own.add(name)


# ---------------------------------------------------------------- the pages as a whole


def test_every_command_of_the_readme_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "benchmarks").mkdir()  # what `discl init photos` writes
    (tmp_path / "benchmarks" / "photos.toml").write_text('based_on = "folder"\ntitle = "Photos"\n')
    monkeypatch.chdir(tmp_path)
    readme = blocks("README.md", (ROOT / "README.md").read_text("utf-8"))
    shell = [block for block in readme if block.language in SHELL]
    lines = [discl_of(words) for block in shell for words in commands(block)]
    discl_lines = [words for words in lines if words is not None]
    assert len(discl_lines) >= 3
    for words in discl_lines:
        check_words(words)


@pytest.mark.parametrize("page", pages())
def test_commands_within_sentences_are_ones(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those without a placeholder, such as BENCH or ..."""
    monkeypatch.chdir(ROOT)
    sentences = re.sub(r"^ *```.*?^ *```$", "", text_of(page), flags=re.M | re.S)
    for line in re.findall(r"`(discl [a-z][^`]*)`", sentences):
        if not re.search(r"\.\.\.|\b[A-Z]+\b", line):
            words, _ = _redirected(shlex.split(line)[1:])
            with contextlib.suppress(
                click.MissingParameter, click.exceptions.NoArgsIsHelpError
            ):  # a sentence may name a command alone
                check_words(words)


@pytest.mark.parametrize(
    "words",
    [
        "bench cifar10_lt --sedes 0",
        "bench cifar10_lt --set train.epoch=2",
        "bench cifar1_lt",
        "bank bulid cifar10_lt",
        "sweep lossses",
    ],
)
def test_a_misspelt_command_is_refused(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises((click.ClickException, UserError), match=r"(?i)no such|did you mean"):
        check_words(words.split())


def test_few_blocks_are_not_run() -> None:
    """A block that is marked as not run is tried by readers only."""
    runnable = [
        block
        for page in pages()
        for block in blocks(page, text_of(page))
        if block.language in (*SHELL, "python")
    ]
    marked = [block for block in runnable if block.reason]
    assert all(re.match(r"needs ", block.reason) for block in marked)
    assert len(marked) < 0.4 * len(runnable)


def test_every_page_can_be_found() -> None:
    """Strict builds warn of pages that are in no menu; this one names them without a build."""
    menu = (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:")[2]
    in_menu = re.findall(r"([\w/-]+\.md)", menu)
    assert sorted(in_menu) == pages()
    assert DOCS.is_dir()


def test_every_extra_is_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    of_users = project["optional-dependencies"].keys() - {"docs", "check", "test", "dev"}
    table = text_of("tutorial/index.md").partition("| extra |")[2].partition("\n\n")[0]
    first_cells = re.findall(r"^\| (`.*?) \|", table, re.M)
    assert {name for cell in first_cells for name in re.findall(r"`(.+?)`", cell)} == of_users
    named = {name for page in pages() for name in re.findall(r"'discl\[([\w-]+)\]'", text_of(page))}
    assert named <= of_users


def _settings() -> list[tuple[str, str, str]]:
    """(part, setting, sentence) of every part of discl, but for those of own photos."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS))
        generate = importlib.import_module("_generate")
    return [
        (f"{kind}/{name}", setting, sentence)
        for kind in registry.KINDS
        for name, home in registry.names(kind).items()
        if isinstance(home, str) and name != generate.EXPLAINED_APART
        for setting, (_, sentence) in generate.settings_of(home).items()
    ]


def test_every_setting_of_every_part_has_a_sentence() -> None:
    explained = _settings()
    assert len(explained) > 90
    for part, setting, sentence in explained:
        kind, _, name = part.partition("/")
        assert setting in registry.settings(kind, name), (part, setting)
        assert len(sentence.split()) > 2, (part, setting)
        assert sentence.endswith("."), (part, setting)


def test_every_setting_of_own_photos_is_explained() -> None:
    table = text_of("reference/parts.md").partition("## The settings of your own photos")[2]
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+) \|$", table, re.M)
    settings = inspect.signature(find("datasets", "folder").__init__).parameters
    usual = {name: setting.default for name, setting in settings.items() if name != "self"}
    assert {name for name, _, _ in rows} == set(usual)
    for name, default, sentence in rows:
        if name != "root":
            value = usual[name]
            assert default == f"`{to_toml(list(value) if isinstance(value, tuple) else value)}`"
        assert len(sentence.split()) > 3, name
