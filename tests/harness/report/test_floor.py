"""The section on the floor, of updates that were really timed."""

from dataclasses import replace

import pandas as pd
import pytest

from harness.judge.floor import has_floor
from harness.report import floor
from harness.report.material import read
from harness.store import Store


@pytest.fixture(scope="module")
def rows(report):
    return pd.read_csv(report / "floor.csv")


def test_every_mode_and_size_has_its_multiple(rows):
    assert set(zip(rows["mode"], rows["parameters"], strict=True)) == {
        (mode, size) for mode in ("eager", "fused") for size in (1000, 10_000)
    }
    assert (rows["low"] <= rows["multiple"]).all() and (rows["multiple"] <= rows["high"]).all()


def test_the_floor_is_adams_seven_arrays_over_the_recorded_bandwidth(rows, small_run):
    for _, row in rows.iterrows():
        bandwidth = Store.open(small_run).read(row["record"]).series("bandwidth")["value"]
        floors = 7 * 4 * row["parameters"] / bandwidth
        assert row["floor_seconds"] == pytest.approx(floors.median())


def test_updates_alone_are_drawn_against_their_floor_and_not_among_the_steps(report):
    page = (report / "report.html").read_text()
    assert "torch fused" in page
    steps = (report / "step-times.csv").read_text() + (report / "ratios.csv").read_text()
    assert "random-gradients" not in steps


def test_without_updates_the_section_says_which_line_times_them(small_run):
    material = read([small_run], small_run)
    steps = {key: record for key, record in material.keyed.items() if not has_floor(record)}
    assert len(steps) == len(material.keyed) - 4
    section = floor.section(replace(material, keyed=steps))
    assert section.missing == ("No update was timed alone in these runs.", "gradgauge run updates")
