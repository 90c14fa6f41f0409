"""Text of strangers is text wherever it goes: no markup, no formula, no escape."""

from __future__ import annotations

import ast
import csv
import io
import json
import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import markdown
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from PIL import Image

import discl
from discl.cli import main
from discl.core.result import Result
from discl.core.text import (
    LEFT_TO_RIGHT,
    Latex,
    Markdown,
    console,
    csv_cell,
    csv_text,
    echo,
    echo_json,
    echo_styled,
    printable,
    visible,
)
from discl.harness.html import template
from discl.harness.leaderboard.formats import FORMATS
from discl.harness.leaderboard.publish import committed, publish, render
from discl.harness.leaderboard.stored import with_runs
from discl.harness.leaderboard.table import board
from discl.harness.run.store import Store
from tests import results
from tests.pages import ROOT
from tests.properties import examples

# what begins something in one of the formats that are written
HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</code></table><b>",
    "<!--",
    "<?php",
    "<![CDATA[",
    "&lt;b&gt;&#60;i&#62;",
    "[a](javascript:alert(1))",
    "![a](https://h.example/a.png)",
    "<https://h.example>",
    "https://h.example www.h.example",
    "[a]: https://h.example\n[a]",
    "*a* **a** _a_ __a__ ~~a~~",
    "`a` ``",
    "`" * 4 + "\na",
    "| a | b\n| --- | --- |",
    "# a {: onclick=alert(1) }",
    "{ .a #b onclick=c }",
    "\n\n# a\n\n- a\n> a\n\n    a",
    '--8<-- "pyproject.toml"',
    '\n--8<-- "pyproject.toml"\n',
    "::: discl.core",
    ":::python a",
    "#!python a",
    "[^1] *[a]: b",
    "$x$ \\(x\\) \\input{a} %a ^a_b #1 & \\",
    "{{ 7 * 7 }} {% include 'a' %} {0} {a}",
    '=HYPERLINK("https://h.example")',
    "+1+cmd|' /C calc'!A0",
    "@SUM(1) ",
    "-2+3",
    "\t=1",
    "\r=1",
    'a\r\n=1,"b"',
    "[bold red]a[/] [link=https://h.example]a[/link] :smile:",
    "\x1b[31m\x1b]8;;https://h.example\x07a\x1b]8;;\x07",
    "\x9b31m\x00\x07\x08\x7f",
    "\u202ea\u2066b\u200e\u2028c\u2029\x85",
    "'\"><svg/onload=alert(1)>",
    "\udc80",
)
texts = st.lists(
    st.one_of(st.sampled_from(HOSTILE), st.text(max_size=8), st.sampled_from("`*_[](){}<>&|\\#~ ")),
    min_size=1,
    max_size=4,
).map("".join)
words = texts.map(str.strip).filter(printable)


def steers(text: str) -> list[str]:
    """Characters that steer a terminal."""
    return [char for char in text if char not in "\n\t" and visible(char) != char]


class Elements(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(name for name, _ in attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.found.append(("comment", ()))

    handle_decl = unknown_decl = handle_pi = handle_comment


@cache
def _site() -> markdown.Markdown:
    """Markdown as the site reads it, but for what needs the site's other files."""
    loader = type("Loader", (yaml.SafeLoader,), {})
    loader.add_multi_constructor("tag:yaml.org,2002:python", lambda *_: None)
    listed = yaml.load((ROOT / "mkdocs.yml").read_text(), loader)["markdown_extensions"]  # noqa: S506
    configs = {
        key: value for each in listed if isinstance(each, dict) for key, value in each.items()
    }
    names = [next(iter(each)) if isinstance(each, dict) else each for each in listed]
    names.remove("mkdocs-click")
    configs["pymdownx.snippets"] = {"base_path": [str(ROOT)], "check_paths": True}
    return markdown.Markdown(extensions=names, extension_configs=configs)


def read(page: str) -> Iterator[Elements]:
    """A page as the site and as a forge read it."""
    yield Elements(_site().reset().convert(page))
    forge = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    yield Elements(forge.render(page))


# ---------------------------------------------------------------- each format


PAGE = Markdown(
    "# {a}\n\n## {a}, scale {code}\n\n{code}\n\n| x | {a} |\n| --- | --- |\n| {a} | {code} |\n\n"
    "Words {a} {sentence}. **{a}** ({a}; {code}), percent:\n\n- {code}: place {a}\n"
)


def _page(text: str) -> Markdown:
    # a sentence may mark names as code, which the next test is about
    sentence = Markdown.sentence(text.replace("`", "'"))
    return PAGE.format(a=text, code=Markdown.code(text), sentence=sentence)


@examples(25)
@given(words)
def test_text_in_markdown_makes_no_element(text: str) -> None:
    for harmless, hostile in zip(read(_page("a")), read(_page(text)), strict=True):
        assert hostile.found == harmless.found
        assert _words(hostile.text).count(_words(printable(text))) >= 10


def _words(text: str) -> str:
    return "".join(text.split())


def test_only_plain_names_become_code_in_a_sentence() -> None:
    for page in read(Markdown.sentence("Of `test/all`, <b> and `<i>`.")):
        assert page.found == [("p", ()), ("code", ())]
        assert page.text.strip() == "Of test/all, <b> and `<i>`."


def test_our_own_markdown_stays_and_what_is_put_in_does_not() -> None:
    made = Markdown("**{}** {}").format("*a* <b>", Markdown("**b**"))
    assert made == r"**\*a\* &lt;b>** **b**"
    assert Markdown(" ").join(["<a>", made]) == f"&lt;a> {made}"


@examples(50)
@given(texts)
def test_text_in_latex_is_set_as_it_is(text: str) -> None:
    made = Latex.escape(text)
    left = re.sub(
        r"\\(text(backslash|asciitilde|asciicircum|less|greater|bar)\{\}|[&%$#_{}])", "", made
    )
    left = left.replace(r"$\pm$", "").replace(r"$\Delta$", "")
    assert not set(left) & set("\\&%$#_{}~^\n")
    assert not steers(made)
    assert Latex.comment(text).count("\n") == 0


@examples(50)
@given(st.lists(st.one_of(texts, st.floats(), st.none(), st.integers()), min_size=1, max_size=3))
def test_no_cell_of_a_csv_file_is_a_formula(cells: list[Any]) -> None:
    written = csv_text(["head"] * len(cells), [cells])
    assert not steers(written)
    _, row = csv.reader(io.StringIO(written))
    for given_, cell in zip(cells, row, strict=True):
        assert isinstance(given_, float | int | None) or not re.match(r"\s*[=+\-@]", cell)
    assert csv_cell(-0.5) == -0.5


OURS = template("leaderboard/page.html").environment.from_string("<p title='{{ a }}'>{{ a }}</p>")


@examples(50)
@given(texts)
def test_text_in_our_pages_is_no_element(text: str) -> None:
    page = Elements(OURS.render(a=text))
    assert page.found == [("p", ("title",))]
    assert not steers(page.text)


@examples(40)
@given(texts)
def test_nothing_written_to_the_terminal_steers_it(text: str) -> None:
    from rich.table import Table
    from rich.text import Text

    written = io.StringIO()
    table = Table(text, title=text)
    table.add_row(text, Text(text, "bold"))
    terminal = console(80, written)
    terminal.print(table, text)
    assert not steers(written.getvalue())


def test_brackets_and_colons_in_a_name_are_no_markup() -> None:
    written = io.StringIO()
    console(80, written).print("[bold]a[/] [link=https://h.example]b[/link] :smile: [")
    assert written.getvalue() == "[bold]a[/] [link=https://h.example]b[/link] :smile: [\n"


def test_echo_replaces_what_would_steer_and_json_keeps_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    hostile = "".join(HOSTILE)
    echo(hostile)
    echo(hostile, err=True)
    echo_styled([[(hostile, "bold"), (f"{LEFT_TO_RIGHT}a", "")]])
    told = capsys.readouterr()
    assert not steers(told.out + told.err)
    echo_json({hostile: [hostile, "é"]})
    shown = capsys.readouterr().out
    assert not steers(shown)
    assert json.loads(shown) == {hostile: [hostile, "é"]}
    assert "é" in shown


def test_the_project_writes_to_no_terminal_but_by_echo_and_console() -> None:
    package = Path(discl.__file__).parent
    written = {path: path.read_text("utf-8") for path in package.rglob("*.py")}
    del written[package / "core" / "text" / "terminal.py"]
    ways = r"\bprint\(|click\.s?echo|std(out|err)\.write|rich\.markup|rich import|import Console"
    others = [
        f"{path.relative_to(package)}:{node.lineno}: {found}"
        for path, source in written.items()
        if re.search(ways, source)
        for node in ast.walk(_without_imports_for_types(source))
        if (found := _way_out(node))
    ]
    assert others == []


def _way_out(node: ast.AST) -> str:
    """How a statement goes to a terminal by itself; "" where it does not."""
    if isinstance(node, ast.Call):
        called = ast.unparse(node.func)
        direct = {"print", "click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write"}
        return called if called in direct else ""
    if isinstance(node, ast.ImportFrom):
        names = {name.name for name in node.names}
        if node.module in ("rich", "rich.markup") or (node.module, "Console") in {
            ("rich.console", name) for name in names
        }:
            return ast.unparse(node)
    return ""


def _without_imports_for_types(source: str) -> ast.AST:
    module = ast.parse(source)
    module.body = [
        node
        for node in module.body
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    ]
    return module


# ---------------------------------------------------------------- a stranger's submission


SPEC = results.spec('strategies=["static", "real_rebalanced"]', "seeds=[0, 1]")
EVIL = "<script>alert(1)</script>|[a](javascript:b)`\x1b]0;c\x07\u202e{: onclick=d }\n\n# *e*"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    results.sweep(("static", "real_rebalanced"), (0, 1))
    publish(SPEC, Store(), tmp_path / "leaderboards")
    return tmp_path / "leaderboards"


def _leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Paths of the texts in a value; of alike items in a list the first."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif isinstance(value, list):
        for item in value[:1]:
            yield from _leaves(item, (*path, 0))
    elif isinstance(value, str):
        yield path


def _with(stored: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    changed = json.loads(json.dumps(stored))
    at = changed
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return dict(changed)


def _published(root: Path) -> Path:
    """A result that is published of the strategy `static`."""
    results_of = sorted((root / "results/cifar10_lt/smoke").glob("*.json"))
    return next(path for path in results_of if Result.read(path).strategy == "static")


def _submit(path: Path, stored: dict[str, Any]) -> None:
    """Put a stranger's file there, with a seal that fits."""
    fields = {key: stored[key] for key in Result.__dataclass_fields__ if key in stored}
    path.write_text(Result(**fields).to_json(), "utf-8")


def _check(root: Path) -> str:
    """What the commands say of a submission; "" where it passes all checks."""
    for command in ("render", "check"):
        done = CliRunner().invoke(main, ["leaderboard", command, "--root", str(root)])
        assert not steers(done.output), command
        assert "Traceback" not in done.output
        if done.exit_code:
            assert done.exit_code == 2
            return done.output
    return ""


# elements of a board's page and of the signs that link its headings
TAGS = {"h1", "h2", "p", "code", "div", "table", "thead", "tbody", "tr", "th", "td", "strong", "em"}


def _assert_only_ours(root: Path) -> None:
    """Every format of the published board holds words of the submission as words alone."""
    found = committed(root, "cifar10_lt", "smoke")
    made = board(with_runs(SPEC, found, every_strategy=True, every_seed=True), found)
    for name, write in FORMATS.items():
        if name != "json":
            assert not steers(write(made)), name
    json.loads(FORMATS["json"](made))
    assert not {"script", "b"} & {tag for tag, _ in Elements(FORMATS["html"](made)).found}
    page = render("cifar10_lt", root)
    assert page == (root / "cifar10_lt.md").read_text("utf-8")
    assert "alert(1)" in page
    for seen in read(page):
        links = [names for tag, names in seen.found if tag == "a"]
        assert all(names == ("class", "href", "title") for names in links)  # of headings
        assert {tag for tag, _ in seen.found} <= TAGS | {"a"}
        assert "onclick" not in {name for _, names in seen.found for name in names}


# what no check has a second source for: they are shown, and prove nothing
FREE = ("name", "provenance", "plugins")


def test_a_submission_with_every_field_hostile_is_refused_or_no_markup_anywhere(
    root: Path,
) -> None:
    path_of_file = _published(root)
    stored = json.loads(path_of_file.read_text("utf-8"))
    leaves = list(_leaves(stored))
    everywhere = stored
    free = stored
    for path in leaves:
        everywhere = _with(everywhere, path, EVIL)
        if path[0] in FREE:
            free = _with(free, path, EVIL)
    _submit(path_of_file, everywhere)
    assert _check(root)
    _submit(path_of_file, free)
    assert _check(root) == ""
    _assert_only_ours(root)


@pytest.mark.slow(reason="checks the board 1,168 times")
@pytest.mark.timeout(1800)
def test_each_field_of_a_submission_that_is_hostile_is_refused_or_no_markup(root: Path) -> None:
    path_of_file = _published(root)
    stored = json.loads(path_of_file.read_text("utf-8"))
    passed = set[str]()
    for path in _fields(stored):
        for value in (EVIL, "", 7, -1, 1e308, None, [EVIL], {EVIL: EVIL}):
            _submit(path_of_file, _with(stored, path, value))
            if not _check(root):
                passed.add(str(path[0]))
                for page in read(render("cifar10_lt", root)):
                    assert {tag for tag, _ in page.found} <= TAGS | {"a"}
    assert "provenance" in passed
    assert not passed & {"id", "benchmark", "scale", "strategy", "seed", "metrics", "counts"}


def _fields(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Paths of all values; of alike items in a table of numbers or a list the first two."""
    if path:
        yield path
    items = (
        list(value.items() if isinstance(value, dict) else enumerate(value))
        if isinstance(value, dict | list)
        else []
    )
    alike = isinstance(value, list) or path[:1] in (("metrics",), ("errors",))
    for key, item in items[:2] if alike else items:
        yield from _fields(item, (*path, key))


def test_a_field_of_another_type_is_named_with_its_file(root: Path) -> None:
    file = _published(root)
    stored = json.loads(file.read_text("utf-8"))
    wrong: list[tuple[tuple[str | int, ...], Any]] = [
        (("counts", 0), None),
        (("counts",), "12"),
        (("metrics", "test/acc"), [EVIL]),
        (("identity", "strategy"), EVIL),
        (("identity", "images"), {EVIL: EVIL}),
        (("confusion_counts",), {EVIL: EVIL}),
        (("cost",), {}),
        (("classes", 0), 7),
    ]
    for path, value in wrong:
        _submit(file, _with(stored, path, value))
        refused = _check(root)
        assert str(file) in refused
        assert str(path[0]) in refused


# ---------------------------------------------------------------- files of strangers in a folder

NAME = "evil \x1b[31m<b>[red]`\u202e=1"
TITLE = f"{NAME}\x07\n# *e* |\x9b {{: x }}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that came from a stranger, with photos, benchmarks and a sweep."""
    quoted = json.dumps(TITLE)
    based = 'based_on = "cifar10_lt"\n'
    written = {
        f"benchmarks/{NAME}.toml": f"{based}title = {quoted}\n",
        "benchmarks/control.toml": 'title = "\x1b[31m"\n',
        "benchmarks/table.toml": f"{based}[{quoted}]\n{quoted} = 1\n",
        "benchmarks/strategy.toml": f"{based}strategies = [{quoted}]\n",
        f"sweeps/{NAME}.toml": f'benchmark = "cifar10_lt"\n[space.{quoted}]\nlow = {quoted}\n',
    }
    for name, text in written.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    for place, label in enumerate((f"a {NAME}", "=cmd|b", "c\t\n")):
        (tmp_path / f"photos {NAME}" / label).mkdir(parents=True)
        for number in range(4):
            picture = Image.new("RGB", (8, 8), (place, number, 9))
            picture.save(tmp_path / f"photos {NAME}" / label / f"{number}{NAME[:9]}\u202e.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _told(*words: str) -> str:
    done = CliRunner().invoke(main, list(words))
    assert not steers(done.output), words
    assert done.exit_code in (0, 2), done.output
    return done.output


@pytest.mark.usefixtures("folder")
def test_names_and_titles_of_benchmarks_and_sweeps_are_shown_as_text() -> None:
    assert "<b>[red]`" in _told("list", "benchmarks")
    for name in ("control", "table", "strategy"):
        assert "error: " in _told("plan", name)
    assert "error: " in _told("sweep", NAME)
    assert "no benchmark called" in _told("plan", TITLE)
    assert "Error: " in _told("plan", f"--{TITLE}")
    titled = ("leaderboard", "cifar10_lt", "--published", "--set", f"title={json.dumps(TITLE)}")
    assert "[red]" in _told(*titled)
    (_, page) = read(_told(*titled, "--format", "md"))
    assert {tag for tag, _ in page.found} <= TAGS


def test_names_of_photos_and_classes_are_shown_as_text(folder: Path) -> None:
    (photos,) = folder.glob("photos*")
    assert "is written; next" in _told("init", str(photos), "--name", "theirs")
    told = _told("data", "info", "theirs")
    assert "<b>[red]`" in told
    assert "=cmd|b" in told
    _told("data", "manifest", "theirs", "--export", "theirs.csv")
    with (folder / "theirs.csv").open(encoding="utf-8-sig", newline="") as opened:
        cells = [cell for row in csv.reader(opened) for cell in row]
    assert "'=cmd|b" in cells
    assert not [cell for cell in cells if re.match(r"[=+\-@\t\r]", cell)]
