"""Drawings as inline SVG: in the page's colours and fonts, with ids of their own, and nothing that points outside.

Written by hand: to import a plotting library and have it draw these takes as long as all the rest of a report.
"""

import math
import struct
import zlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from markupsafe import Markup

from harness.judge.speed import Floats

INK, SOFT, LINE, PAPER = (f"var(--{name})" for name in ("ink", "ink-2", "line", "paper"))
FONT = 11.0
_OWNER = "\0"  # stands for the name of an element in its ids, until it has one
# Ten colours of viridis (van der Walt and Smith 2015), evenly apart; between them colours are mixed.
_VIRIDIS = ("440154", "482878", "3e4989", "31688e", "26828e", "1f9e89", "35b779", "6ece58", "b5de2b", "fde725")


def series(number: int) -> str:
    """A contender's colour."""
    return f"var(--s{number})"


def room(labels: Sequence[str]) -> float:
    """The margin that labels left of the axes need."""
    return 14.0 + 6.3 * max(len(label) for label in labels)


def ticks(low: float, high: float, most: int = 4) -> list[float]:
    """Round numbers between two, so far apart that they make at most so many steps."""
    if not high > low:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(size * power for size in (1, 2, 5, 10) if (high - low) / (size * power) <= most * (1 + 1e-9))
    return [place * step for place in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers between two as a logarithmic axis shows them: the fewer a decade the more decades there are."""
    decades = math.log10(high / low)
    digits = (1, 2, 5) if decades < 1.5 else (1, 3) if decades < 3 else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1, max(1, round(decades / 5)))
    found = [digit * 10.0**power for power in powers for digit in digits]
    return [tick for tick in found if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]


class Drawing:
    """Axes in a box, in CSS pixels from the upper left corner; what is added is drawn in turn.

    ``margins`` are left, right, bottom, top; ``across`` and ``up`` the numbers at the box's ends, left and right,
    bottom and top.
    """

    def __init__(
        self,
        size: tuple[float, float],
        margins: tuple[float, float, float, float],
        across: tuple[float, float],
        up: tuple[float, float],
        logarithmic: str = "",  # "x" and "y": these axes
    ) -> None:
        self.width, self.height = size
        left, right, bottom, top = margins
        self.left, self.right, self.top, self.bottom = left, self.width - right, top, self.height - bottom
        self.across, self.up, self.logarithmic = across, up, logarithmic
        self.parts: list[str] = []

    def x(self, values: Floats | float) -> Floats:
        """Where numbers stand, from the left."""
        return _placed(values, self.across, (self.left, self.right), "x" in self.logarithmic)

    def y(self, values: Floats | float) -> Floats:
        """Where numbers stand, from the top."""
        return _placed(values, self.up, (self.bottom, self.top), "y" in self.logarithmic)

    def add(self, *parts: str) -> None:
        """Draw something."""
        self.parts += parts

    def text(self, x: float, y: float, words: str, anchor: str = "middle", colour: str = SOFT) -> None:
        """Words whose middle is ``y`` down."""
        style = "" if colour == SOFT else f' style="fill:{colour}"'
        place = f'x="{x:.1f}" y="{y:.1f}" dy="0.35em" text-anchor="{anchor}" font-size="{FONT:g}"'
        self.add(f"<text {place}{style}>{escape(words)}</text>")

    def scale_across(self, places: Sequence[float], name: str, lines: bool = False) -> None:
        """Numbers below the axes, what they are, and lines up from them."""
        for place in places:
            x = float(self.x(place))
            if lines:
                self.add(path([(x, self.top), (x, self.bottom)], f'stroke="{LINE}" stroke-width="0.8"'))
            self.text(x, self.bottom + 10, f"{place:g}")
        self.text((self.left + self.right) / 2, self.bottom + 24, name)

    def scale_up(self, places: Mapping[float, str], colour: str = SOFT, name: str = "") -> None:
        """Words left of the axes, and what they are."""
        for place, words in places.items():
            self.text(self.left - 5, float(self.y(place)), words, "end", colour)
        if name:
            middle = (self.top + self.bottom) / 2
            turned = f'transform="translate(8 {middle:.1f}) rotate(-90)"'
            self.add(f'<text {turned} dy="0.35em" text-anchor="middle" font-size="{FONT:g}">{escape(name)}</text>')

    def clipped(self, parts: Sequence[str]) -> str:
        """Parts of which only what is inside the axes shows."""
        width, height = self.right - self.left, self.bottom - self.top
        box = f'<rect x="{self.left:g}" y="{self.top:g}" width="{width:g}" height="{height:g}"/>'
        clip = f'<clipPath id="{_OWNER}-box">{box}</clipPath>'
        return f'{clip}<g clip-path="url(#{_OWNER}-box)">{"".join(parts)}</g>'

    def image(self, shares: Floats) -> str:
        """A picture that fills the axes: from 0 to 1 along the colour scale, blank where not finite; row by row."""
        width, height = self.right - self.left, self.bottom - self.top
        box = f'x="{self.left:g}" y="{self.top:g}" width="{width:g}" height="{height:g}" preserveAspectRatio="none"'
        return f'<image {box} style="image-rendering:pixelated" href="{_png(shares)}"/>'

    def svg(self, name: str, title: str, inside: str = "") -> Markup:
        """All of it and ``inside`` as an element; ``name`` is unique on the page, ``title`` is read aloud."""
        size = f'viewBox="0 0 {self.width:g} {self.height:g}" width="{self.width:g}" height="{self.height:g}"'
        head = f'<svg {size} role="img" aria-labelledby="{name}-title"><title id="{name}-title">{escape(title)}</title>'
        return Markup(head + ("".join(self.parts) + inside).replace(_OWNER, name) + "</svg>")


def path(points: Floats | Sequence[tuple[float, float]], style: str, closed: bool = False) -> str:
    """A line through points, broken where one is not finite."""
    words, pen = [], "M"
    for x, y in np.asarray(points).tolist():
        if math.isfinite(x + y):
            words.append(f"{pen}{x:.1f} {y:.1f}")
        pen = "L" if math.isfinite(x + y) else "M"
    return f'<path d="{"".join(words)}{"Z" if closed else ""}" {style}/>'


def _placed(values: Floats | float, ends: tuple[float, float], box: tuple[float, float], logarithmic: bool) -> Floats:
    """Numbers between ``ends`` as pixels in the box."""
    found, (low, high) = np.asarray(values, dtype=np.float64), np.asarray(ends, dtype=np.float64)
    if logarithmic:
        found, low, high = np.log10(found), np.log10(low), np.log10(high)
    return np.asarray(box[0] + (found - low) / (high - low) * (box[1] - box[0]))


def _png(shares: Floats) -> str:
    """A picture as a data URL, one pixel a cell: 8 bits of red, green, blue and opacity, uncompressed rows deflated."""
    stops = np.array([[int(colour[i : i + 2], 16) for i in (0, 2, 4)] for colour in _VIRIDIS], dtype=np.float64)
    known = np.isfinite(shares)
    at = np.where(known, shares, 0.0) * (len(stops) - 1)
    mixed = np.stack([np.interp(at, np.arange(len(stops)), stops[:, channel]) for channel in range(3)], axis=-1)
    pixels = np.concatenate([np.rint(mixed), 255.0 * known[..., None]], axis=-1).astype(np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)  # 0: no filter
    height, width = shares.shape
    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    chunks = (_chunk(b"IHDR", head), _chunk(b"IDAT", zlib.compress(rows, 9)), _chunk(b"IEND", b""))
    return "data:image/png;base64," + b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(chunks)).decode()


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
