"""Vega-Lite specifications written as files: SVG, PNG, PDF, or a page that needs no network."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from discl.core.errors import UserError
from discl.files.disk import atomic_output, check_output

PIXELS_PER_INCH = 300  # of a PNG; a Vega unit is 1/72 inch
_SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"  # a name; nothing is fetched
_CONFIG = {
    "background": "white",
    "font": "sans-serif",
    "view": {"stroke": None},
    "axis": {"grid": False, "labelFontSize": 9, "titleFontSize": 10, "titleFontWeight": "normal"},
    "legend": {"labelFontSize": 9, "labelLimit": 400, "title": None},
    "title": {"fontSize": 11, "fontWeight": "normal"},
}
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title></head>
<body>
<div id="chart"></div>
<script>{library}</script>
<script>vegaEmbed("#chart", {spec}, {{"renderer": "svg"}});</script>
</body>
</html>
"""


def check_picture(path: Path, formats: Sequence[str], extra: str) -> None:
    """Raise before long work what `write_picture` would raise after it.

    `formats` are the endings to accept, such as ".svg"; `extra` is the extra of the package that
    brings the renderer. Raises UserError where the ending is not one of them, vl-convert is not
    installed, or the file cannot be written.
    """
    if path.suffix.lower() not in formats:
        endings = f"{', '.join(formats[:-1])} or {formats[-1]}"
        raise UserError(f"{str(path)!r}: a picture is a {endings} file")
    require_vl_convert(extra)
    check_output(path)


def require_vl_convert(extra: str) -> None:
    """Raises UserError where vl-convert is not installed; `extra` of the package brings it."""
    if importlib.util.find_spec("vl_convert") is None:
        raise UserError(f"vl-convert is not installed; pip install 'discl[{extra}]'")


def write_picture(spec: Mapping[str, Any], path: Path, title: str = "", scale: float = 1.0) -> Path:
    """Draw a Vega-Lite specification in the format of the file's ending.

    The same specification gives the same bytes. `title` is the title of a page; `scale` sizes PDF
    and PNG, where a Vega unit is `scale` / 72 inch.
    """
    complete = {"$schema": _SCHEMA, "config": _CONFIG, **spec}
    with atomic_output(path) as unfinished:
        unfinished.write_bytes(_WRITERS[path.suffix.lower()](complete, title, scale))
    return path


def svg(spec: Mapping[str, Any]) -> str:
    """A Vega-Lite specification with its data, drawn as SVG."""
    import vl_convert

    return _renumbered(str(vl_convert.vegalite_to_svg(dict(spec))))


def _renumbered(drawing: str) -> str:
    """An SVG document with clip paths counted from zero; vl-convert counts on over drawings."""
    numbers: dict[str, int] = {}

    def number(match: re.Match[str]) -> str:
        return f"{match[1]}{numbers.setdefault(match[2], len(numbers))}"

    return re.sub(r'((?:clip-path="url\(#|<clipPath id=")clip)(\d+)', number, drawing)


def _svg(spec: Mapping[str, Any], _title: str, _scale: float) -> bytes:
    return svg(spec).encode()


def _png(spec: Mapping[str, Any], _title: str, scale: float) -> bytes:
    import vl_convert

    return bytes(vl_convert.vegalite_to_png(dict(spec), scale=scale, ppi=PIXELS_PER_INCH))


def _pdf(spec: Mapping[str, Any], _title: str, scale: float) -> bytes:
    import vl_convert

    return _in_order(bytes(vl_convert.svg_to_pdf(_resized(svg(spec), scale))))


def _in_order(pdf: bytes) -> bytes:
    """A PDF file with the names of its resources sorted; vl-convert writes them in random order.

    Only whole lines of one dictionary change places, so that no offset in the file moves.
    """
    references = rb"(?:^ +/(?:xo|gs)\d+ \d+ 0 R\n){2,}"
    return re.sub(
        references, lambda lines: b"".join(sorted(lines[0].splitlines(True))), pdf, flags=re.M
    )


def _resized(drawing: str, scale: float) -> str:
    """An SVG document with another width and height around the same content."""
    size = re.search(r'width="([\d.]+)" height="([\d.]+)"', drawing)
    if size is None or scale == 1:
        return drawing
    width, height = (float(side) * scale for side in size.groups())
    return drawing.replace(size[0], f'width="{width:g}" height="{height:g}"', 1)


def _html(spec: Mapping[str, Any], title: str, _scale: float) -> bytes:
    import vl_convert

    # vl-convert's own page lets a name that holds "</script>" end the script
    data = json.dumps(spec).replace("<", "\\u003c")
    library = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # the stub forgets its default
    return _PAGE.format(title=escape(title), library=library, spec=data).encode()


_WRITERS: Mapping[str, Callable[[Mapping[str, Any], str, float], bytes]] = {
    ".svg": _svg,
    ".png": _png,
    ".pdf": _pdf,
    ".html": _html,
}
