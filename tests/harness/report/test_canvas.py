"""Drawings: round numbers on axes, and pictures that a decoder written here reads back."""

import base64
import struct
import zlib

import numpy as np
import pytest

from harness.report import canvas


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [
        (0, 155, [0, 50, 100, 150]),
        (0, 4, [0, 1, 2, 3, 4]),
        (-2.5, 1.5, [-2, -1, 0, 1]),
        (0, 0, [0]),
        (0, 0.7, [0, 0.2, 0.4, 0.6]),
    ],
)
def test_ticks_are_round_and_few(low, high, found):
    assert canvas.ticks(low, high) == pytest.approx(found)


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [
        (0.04, 3.3, [0.1, 0.3, 1, 3]),
        (100, 1600, [100, 200, 500, 1000]),
        (1e-12, 1e3, [1e-12, 1e-9, 1e-6, 1e-3, 1, 1e3]),
    ],
)
def test_logarithmic_ticks_are_at_least_three(low, high, found):
    assert canvas.log_ticks(low, high) == pytest.approx(found)


def test_numbers_stand_where_the_axes_say():
    drawing = canvas.Drawing((100, 50), (10, 10, 5, 5), (0, 8), (1, 100), "y")
    assert drawing.x(2) == pytest.approx(30) and drawing.y(1) == pytest.approx(45)
    assert drawing.y(10) == pytest.approx(25)


def test_a_line_breaks_where_there_is_no_number():
    points = np.array([[0, 1], [1, 2], [2, np.nan], [3, 4], [4, 5]])
    assert canvas.path(points, "") == '<path d="M0.0 1.0L1.0 2.0M3.0 4.0L4.0 5.0" />'


def test_a_picture_has_the_scale_s_colours_and_is_blank_where_there_is_no_number():
    shares = np.array([[0.0, 1.0, np.nan], [0.5, 1 / 9, -np.inf]])
    drawing = canvas.Drawing((30, 20), (0, 0, 0, 0), (0, 3), (0, 2))
    _, _, data = drawing.image(shares).partition("base64,")
    pixels = decoded(base64.b64decode(data.rstrip('"/>')))
    assert [bytes(p).hex() for p in pixels[0, :2]] == ["440154ff", "fde725ff"]
    assert bytes(pixels[1, 1]).hex() == "482878ff"
    np.testing.assert_array_equal(pixels[..., 3], 255 * np.isfinite(shares))
    assert np.abs(pixels[1, 0, :3].astype(int) - (33, 145, 140)).max() <= 2  # the middle of viridis


def decoded(png):
    """The pixels of an unfiltered PNG of red, green, blue and opacity."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    at, chunks = 8, {}
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, content = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length]) == (zlib.crc32(kind + content),)
        chunks[kind], at = content, at + 12 + length
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, 1 + 4 * width)
    return rows[:, 1:].reshape(height, width, 4)
