"""Matplotlib figures as inline SVG: the page's ink and fonts, ids of their own, nothing that points outside."""

import io
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from html import escape
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Stand-ins: drawn in these colours, then replaced by the style sheet's variables, so that a drawing follows the theme.
INK, SOFT, LINE, PAPER, BAD = "#010101", "#010102", "#010103", "#010104", "#010105"
_VARIABLES = {INK: "ink", SOFT: "ink-2", LINE: "line", PAPER: "paper", BAD: "bad"}

Labels = Mapping[float, str] | Mapping[int, str]  # by their places

FONT = 11.0
LINE_HEIGHT = 1.3 * FONT
LONGEST = 44  # characters of a label's line
LEAST = 160.0  # between the margins: what a drawing needs to be read
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "gradgauge",
    "font.size": FONT,
    "axes.edgecolor": LINE,
    "axes.labelcolor": SOFT,
    "axes.linewidth": 1.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.use_mathtext": False,
    "axes.unicode_minus": True,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "xtick.major.size": 3.0,
    "ytick.major.size": 0.0,
    "xtick.minor.size": 0.0,
    "ytick.minor.size": 0.0,
    "text.color": INK,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


def series(number: int) -> str:
    """The stand-in of a contender's colour."""
    return f"#0202{number:02x}"


def broken(label: str) -> str:
    """A label in lines of at most ``LONGEST`` characters, broken behind a space or a comma where there is one."""
    lines = [""]
    for piece in re.findall(rf"[^ ,]{{1,{LONGEST - 1}}}[ ,]?|[ ,]", label):
        if len(lines[-1]) + len(piece.rstrip()) > LONGEST:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines)


def high(labels: Sequence[str]) -> float:
    """The height that the tallest of some labels needs."""
    return LINE_HEIGHT * max(label.count("\n") + 1 for label in labels)


def room(labels: Sequence[str]) -> float:
    """The margin that labels beside the axes need."""
    return 14.0 + 6.3 * max(len(line) for label in labels for line in label.split("\n"))


def style() -> AbstractContextManager[None]:
    """The context in which everything is drawn. Entered once: it is slow to enter."""
    return matplotlib.rc_context(_STYLE)


def axes(width: float, height: float, margins: tuple[float, float, float, float]) -> Axes:
    """Axes on a new figure, in CSS pixels, which is wider where the margins leave too little; these are left, right,
    bottom, top.
    """
    left, right, bottom, top = margins
    width = max(width, left + right + LEAST)
    figure = Figure(figsize=(width / 72, height / 72))
    box = (left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height)
    return figure.add_axes(box)


def frame(drawn: Axes, across: Mapping[float, str], up: Labels, below: str, beside: str = "") -> None:
    """Tick labels and the axes' names, without axes: Matplotlib's own take longer to draw than all else together."""
    drawn.set_axis_off()
    (left, _), (bottom, _) = drawn.get_xlim(), drawn.get_ylim()
    apart: dict[str, Any] = {"textcoords": "offset points", "color": SOFT}
    for x, text in across.items():
        drawn.annotate(text, (x, bottom), xytext=(0, -4), ha="center", va="top", **apart)
    for y, text in up.items():
        drawn.annotate(text, (left, y), xytext=(-5, 0), ha="right", va="center", fontsize=FONT - 1, **apart)
    drawn.annotate(below, (0.5, 0), xycoords="axes fraction", xytext=(0, -17), ha="center", va="top", **apart)
    if beside:
        figure = drawn.get_figure(root=True)
        assert figure is not None
        left_edge = -drawn.get_position().x0 * figure.get_figwidth() * 72
        place: dict[str, Any] = {"xycoords": "axes fraction", "xytext": (left_edge + 7, 0), "rotation": 90}
        drawn.annotate(beside, (0, 0.5), ha="center", va="center", **place, **apart)


def svg(drawn: Axes, name: str, title: str) -> Markup:
    """The figure of some axes as an ``svg`` element; ``name`` is unique on the page, ``title`` is read aloud."""
    figure = drawn.get_figure(root=True)
    assert figure is not None
    width, height = (size * 72 for size in figure.get_size_inches())
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    body = buffer.getvalue()
    body = body[body.index('<g id="figure_1">') : body.rindex("</svg>")]
    head = (
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" '
        f'role="img" aria-labelledby="{name}-title"><title id="{name}-title">{escape(title)}</title>'
    )
    return Markup(head + _own(body, name) + "</svg>")


def _own(body: str, name: str) -> str:
    """The drawing with the page's colours and font, short numbers, and ids that belong to ``name``."""
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    body = body.replace("xlink:href", "href")
    for stand_in, variable in _VARIABLES.items():
        body = body.replace(stand_in, f"var(--{variable})")
    body = re.sub(r"#0202([0-9a-f]{2})", lambda m: f"var(--s{int(m[1], 16)})", body)
    body = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", body)
    body = re.sub(r' d="([^"]*)"', lambda m: f' d="{_path(m[1])}"', body)
    body = re.sub(r' (x|y)="(-?[\d.]+)"', lambda m: f' {m[1]}="{float(m[2]):.5g}"', body)
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', body))
    body = re.sub(r' id="([^"]*)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", body)
    body = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", body)
    return re.sub(r">\s+<", "><", body)


def _path(d: str) -> str:
    """A path with one decimal: a tenth of a pixel."""
    rounded = re.sub(r"-?\d+\.\d+", lambda m: f"{float(m[0]):.1f}".removesuffix(".0"), d)
    return re.sub(r"\s+", " ", rounded).strip()
