"""Photos in rows and columns, with words beside them, as a picture or as SVG."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from discl.core.interfaces import Photos
from discl.files.disk import atomic_output, check_output
from discl.files.photos import picture_format, save_picture, thumbnail

# in units of one CSS pixel
MARGIN = 16
TILE = 96
GAP = 8
LINE = 16
TYPE = 12
LONGEST_NAME = 28  # letters of a row's name; the rest is cut
LARGEST_PIXELS = 16_000  # a side of a picture; WebP ends at 16383
INK = "#1b1f24"
QUIET = "#59636e"
ALARM = "#c62828"


class Tile(NamedTuple):
    """A photo [h, w, 3] of a figure with a word under it; a dropped one is framed and crossed."""

    photo: Photos | None  # None leaves a hole
    note: str = ""
    dropped: bool = False


@dataclass(frozen=True)
class Figure:
    """Rows of tiles with a name each, under columns with a head each; heads may have two lines."""

    heads: tuple[str, ...]
    names: tuple[str, ...]
    rows: tuple[tuple[Tile, ...], ...]
    legend: tuple[str, ...]  # lines below
    mark: str = ""  # what a frame with a cross means; "" = none is drawn


class Text(NamedTuple):
    x: float
    y: float  # of the baseline
    words: str
    anchor: str = "start"  # start, middle or end
    colour: str = INK


class Picture(NamedTuple):
    x: float
    y: float
    w: float
    h: float
    photo: Photos | None


class Cross(NamedTuple):
    """A frame with a crossed-out corner."""

    x: float
    y: float
    w: float
    h: float
    corner: float = 18


Shape = Text | Picture | Cross


class Drawing(NamedTuple):
    """A figure laid out."""

    width: float
    height: float
    shapes: list[Shape]


def check_figure(path: Path) -> None:
    """Raise before long work what `save_figure` would raise after it.

    Raises UserError where the ending is no picture's or the file cannot be written.
    """
    if path.suffix.lower() != ".svg":
        picture_format(path, " or .svg")
    check_output(path)


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure whole: as SVG with its words as text, or as a picture, by the file's ending.

    Returns the path.
    """
    drawing = laid_out(figure)
    if path.suffix.lower() != ".svg":
        picture_format(path, " or .svg")
        return save_picture(as_picture(drawing), path)
    with atomic_output(path) as tmp:
        tmp.write_text(as_svg(drawing), "utf-8")
    return path


# ---------------------------------------------------------------- layout


def laid_out(figure: Figure) -> Drawing:
    """The position of everything in a figure."""
    names = [
        name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
        for name in figure.names
    ]
    left = MARGIN + max(map(_length, names), default=0) + (GAP if names else 0)
    head_lines = max(len(head.split("\n")) for head in figure.heads)
    top = MARGIN + head_lines * LINE
    tall = _tile_height(figure)
    pitch = tall + GAP + (LINE if any(tile.note for row in figure.rows for tile in row) else 0)
    columns = [left + c * (TILE + GAP) for c in range(len(figure.heads))]
    shapes = list(_heads(figure.heads, columns, top))
    for r, (name, row) in enumerate(zip(names, figure.rows, strict=True)):
        y = top + r * pitch
        shapes.append(Text(left - GAP, y + tall / 2 + TYPE / 3, name, "end"))
        for x, tile in zip(columns, row, strict=True):
            shapes += _tile(tile, x, y, tall)
    bottom = top + len(figure.rows) * pitch
    legend = list(_legend(figure, left, bottom + GAP))
    shapes += legend
    widest = max(
        [
            columns[-1] + TILE,
            *(shape.x + _length(shape.words) for shape in legend if isinstance(shape, Text)),
        ]
    )
    return Drawing(
        math.ceil(widest + MARGIN),
        math.ceil(bottom + GAP + len(_lines(figure)) * (LINE + 4) + MARGIN - 4),
        shapes,
    )


def _tile_height(figure: Figure) -> float:
    photos = [tile.photo for row in figure.rows for tile in row if tile.photo is not None]
    return TILE * photos[0].shape[0] / photos[0].shape[1] if photos else TILE


def _heads(heads: Sequence[str], columns: Sequence[float], top: float) -> Iterator[Shape]:
    for head, x in zip(heads, columns, strict=True):
        lines = head.split("\n")
        for i, line in enumerate(lines):
            y = top - (len(lines) - 1 - i) * LINE - TYPE / 2
            yield Text(x + TILE / 2, y, line, "middle", INK if i == 0 else QUIET)


def _tile(tile: Tile, x: float, y: float, tall: float) -> Iterator[Shape]:
    yield Picture(x, y, TILE, tall, tile.photo)
    if tile.dropped:
        yield Cross(x, y, TILE, tall)
    if tile.note:
        yield Text(
            x + TILE / 2, y + tall + TYPE + 1, tile.note, "middle", ALARM if tile.dropped else QUIET
        )


def _lines(figure: Figure) -> list[str]:
    return [*([figure.mark] if figure.mark else []), *figure.legend]


def _legend(figure: Figure, x: float, y: float) -> Iterator[Shape]:
    for i, line in enumerate(_lines(figure)):
        base = y + i * (LINE + 4)
        if figure.mark and i == 0:
            yield Cross(x, base, LINE, LINE, LINE)
        yield Text(
            x + (LINE + GAP if figure.mark and i == 0 else 0), base + TYPE, line, colour=QUIET
        )


@cache
def _font(scale: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(TYPE * scale)


def _length(words: str) -> float:
    """Width of words; the fonts of SVG viewers have about this width."""
    return float(_font(1).getlength(words)) * 1.04


# ---------------------------------------------------------------- pixels


def as_picture(drawing: Drawing) -> Image.Image:
    """A drawing as pixels, at twice its size where that fits a picture file."""
    scale = 2 if max(drawing.width, drawing.height) * 2 <= LARGEST_PIXELS else 1
    canvas = Image.new("RGB", (int(drawing.width * scale), int(drawing.height * scale)), "white")
    draw = ImageDraw.Draw(canvas)
    for shape in drawing.shapes:
        match shape:
            case Text(x, y, words, anchor, colour):
                draw.text(
                    (x * scale, y * scale),
                    words,
                    colour,
                    _font(scale),
                    {"start": "ls", "middle": "ms", "end": "rs"}[anchor],
                )
            case Picture(x, y, w, h, photo) if photo is not None:
                canvas.paste(
                    enlarged(photo, round(w * scale), round(h * scale)),
                    (round(x * scale), round(y * scale)),
                )
            case Picture(x, y, w, h):
                draw.rectangle(
                    (x * scale, y * scale, (x + w) * scale - 1, (y + h) * scale - 1), "#eceff1"
                )
            case Cross():
                _draw_cross(draw, shape, scale)
    return canvas


def enlarged(photo: Photos, width: int, height: int) -> Image.Image:
    """A photo [h, w, 3] at another size.

    Pixels of small photos stay squares, so that nothing is shown that was not made.
    """
    picture = Image.fromarray(photo)
    factor = math.ceil(max(width / photo.shape[1], height / photo.shape[0]))
    if factor > 1:
        picture = picture.resize(
            (photo.shape[1] * factor, photo.shape[0] * factor), Image.Resampling.NEAREST
        )
    return (
        picture
        if picture.size == (width, height)
        else picture.resize((width, height), Image.Resampling.LANCZOS)
    )


def _draw_cross(draw: ImageDraw.ImageDraw, cross: Cross, scale: int) -> None:
    x, y, right, low = (
        value * scale for value in (cross.x, cross.y, cross.x + cross.w, cross.y + cross.h)
    )
    corner = cross.corner * scale
    inset = cross.corner * scale / 4
    thick = 2 * scale
    draw.rectangle((x, y, right - 1, low - 1), outline=ALARM, width=thick)
    draw.rectangle((right - corner, y, right - 1, y + corner - 1), fill=ALARM)
    draw.line(
        (right - corner + inset, y + inset, right - inset, y + corner - inset), "white", thick
    )
    draw.line(
        (right - inset, y + inset, right - corner + inset, y + corner - inset), "white", thick
    )


# ---------------------------------------------------------------- SVG


def as_svg(drawing: Drawing) -> str:
    """A drawing as an SVG document; photos are inside as PNG, and words are text."""
    size = f"{drawing.width:g} {drawing.height:g}"
    width, height = size.split()
    return "\n".join(
        [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
                f' viewBox="0 0 {size}" font-family="Helvetica, Arial, sans-serif"'
                f' font-size="{TYPE}">'
            ),
            f'<rect width="{width}" height="{height}" fill="white"/>',
            *map(_element, drawing.shapes),
            "</svg>\n",
        ]
    )


def _element(shape: Shape) -> str:
    match shape:
        case Text(x, y, words, anchor, colour):
            return (
                f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
                f' fill="{colour}">{_clean(words)}</text>'
            )
        case Picture(x, y, w, h, photo) if photo is not None:
            data = base64.b64encode(thumbnail(photo, 4 * TILE)).decode()
            crisp = ' style="image-rendering: pixelated"' if photo.shape[1] < TILE else ""
            return (
                f'<image x="{x:.1f}" y="{y:.1f}" width="{w:g}" height="{h:g}"{crisp}'
                f' href="data:image/png;base64,{data}"/>'
            )
        case Picture(x, y, w, h):
            return f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:g}" height="{h:g}" fill="#eceff1"/>'
        case Cross(x, y, w, h, corner):
            inset = corner / 4
            right = x + w
            return (
                f'<rect x="{x + 1:.1f}" y="{y + 1:.1f}" width="{w - 2:g}" height="{h - 2:g}"'
                f' fill="none" stroke="{ALARM}" stroke-width="2"/><rect x="{right - corner:.1f}"'
                f' y="{y:.1f}" width="{corner:g}" height="{corner:g}" fill="{ALARM}"/><path'
                f' d="M{right - corner + inset:.1f} {y + inset:.1f}L{right - inset:.1f}'
                f" {y + corner - inset:.1f}M{right - inset:.1f}"
                f' {y + inset:.1f}L{right - corner + inset:.1f} {y + corner - inset:.1f}"'
                ' stroke="white" stroke-width="2"/>'
            )


def _clean(words: str) -> str:
    """Escaped words without the control characters that XML forbids."""
    return escape(re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", "", words))
