"""Vega-Lite specifications written as files: SVG, PNG, PDF, or a page that needs no network."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from discl.core.errors import UserError
from discl.files.disk import check_deliverable, delivering

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
        raise UserError(f"{str(path)!r}: a picture is saved as {' or '.join(formats)}")
    try:
        import vl_convert  # noqa: F401
    except ImportError as error:
        raise UserError(f"vl-convert is not installed; pip install 'discl[{extra}]'") from error
    check_deliverable(path)


def write_picture(spec: Mapping[str, Any], path: Path, title: str = "") -> Path:
    """Draw a Vega-Lite specification in the format of the file's ending.

    The same specification gives the same bytes. `title` is the title of a page.
    """
    complete = {"$schema": _SCHEMA, "config": _CONFIG, **spec}
    with delivering(path) as unfinished:
        unfinished.write_bytes(_WRITERS[path.suffix.lower()](complete, title))
    return path


def _svg(spec: Mapping[str, Any], _title: str) -> bytes:
    import vl_convert

    return str(vl_convert.vegalite_to_svg(dict(spec))).encode()


def _png(spec: Mapping[str, Any], _title: str) -> bytes:
    import vl_convert

    return bytes(vl_convert.vegalite_to_png(dict(spec), ppi=PIXELS_PER_INCH))


def _pdf(spec: Mapping[str, Any], _title: str) -> bytes:
    import vl_convert

    return bytes(vl_convert.vegalite_to_pdf(dict(spec)))


def _html(spec: Mapping[str, Any], title: str) -> bytes:
    import vl_convert

    # vl-convert's own page lets a name that holds "</script>" end the script
    data = json.dumps(spec).replace("<", "\\u003c")
    library = vl_convert.javascript_bundle()
    return _PAGE.format(title=escape(title), library=library, spec=data).encode()


_WRITERS: Mapping[str, Callable[[Mapping[str, Any], str], bytes]] = {
    ".svg": _svg,
    ".png": _png,
    ".pdf": _pdf,
    ".html": _html,
}
