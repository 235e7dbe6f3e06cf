"""Histograms of outputs over windows, a drawing a layer: what was counted at level full."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from harness.findings.seen import Seen
from harness.judge.speed import Floats
from harness.observation import BINS
from harness.report import commands
from harness.report.health_histogram_sheet import Sheet, ramp, rows
from harness.report.health_runs import Case, Run, drawn_alone, stand_for
from harness.report.material import Material
from harness.report.section import Figure, Panel

MOST = 12  # layers of a figure
NOTE = (
    "A column is a window of observed steps. Its colours are the shares of the layer's outputs by size, in powers of "
    "two: positive ones above the middle, negative ones below, the larger the farther; the row in the middle has all "
    "that are smaller than it says. Exactly 0 and not finite (magenta, with ×) are rows of their own, at the foot. "
    "Blank: none. Where colours close in on the middle from layer to layer signals vanish, where they move away from "
    "it they explode; colours at the ends of an activation's values alone: it saturates; all in the row of 0: it is "
    "dead. The drawings share their axes. "
)


class Windows(NamedTuple):
    """The histograms of a layer's outputs, as they were recorded."""

    steps: Floats  # (windows,) the last of each
    shares: Floats  # (windows, BINS + 2): the bins of ``harness.observation``, what is 0, what is not finite


Group = tuple[Sequence[Run], Mapping[str, Windows]]  # backends that alarm alike, what the first of them gave


def figures(material: Material, cases: Sequence[Case]) -> list[Figure]:
    """One figure a case that was observed at level full, of those that ``health_maps`` draws, folded as there."""
    found = []
    for place, (case, folded) in enumerate(drawn_alone(cases)):
        groups = [(group, histograms(group[0].seen)) for group in case.alike]
        if groups := [(group, shown) for group, shown in groups if shown]:
            found.append(_figure(material, case, groups, f"health-{place}-histograms", folded))
    return found


def lacking(cases: Sequence[Case]) -> str:
    """Why nothing is drawn; empty where something is."""
    runs = [run for case in cases for run in case.runs]
    if any(histograms(run.seen) for run in runs):
        return ""
    full = any(run.seen.measure.level == "full" for run in runs)
    why = "no run at level full has layers and a whole window" if full else "no run was observed at level full"
    return f"Histograms of outputs are not drawn: {why}."


def histograms(seen: Seen) -> dict[str, Windows]:
    """By layer, from input to output; none where none were recorded."""
    tracks = {place.name: seen.track("histogram", place.name) for place in seen.places}
    return {
        name: Windows(track.steps[:: BINS + 2].astype(float), track.values.reshape(-1, BINS + 2))
        for name, track in tracks.items()
        if len(track)
    }


def chosen(layers: Sequence[str]) -> list[str]:
    """At most ``MOST`` of them, evenly, with the first and the last."""
    at = np.linspace(0, len(layers) - 1, min(MOST, len(layers)))
    return [layers[place] for place in np.round(at).astype(int)]


def _figure(material: Material, case: Case, groups: Sequence[Group], name: str, folded: bool) -> Figure:
    every = list(groups[0][1])
    layers, left_out = chosen(every), max(len(every) - MOST, 0)
    who = "" if len(case.alike) > 1 or len(case.runs) == 1 else f"Drawn: {case.runs[0].contender.name}. "
    few = f"Drawn: {MOST} of {len(every)} layers, evenly chosen; {left_out} left out. " if left_out else ""
    return Figure(
        name,
        f"Histograms of outputs: {case.label}",
        list(_panels(case, groups, layers, name)),
        note=f"{NOTE}{few}{who}{case.setting.conditions}, seed {case.seed}.",
        scale=Panel(ramp(f"{name}-scale"), "share of a layer's outputs"),
        again=commands.again(material, (group[0].record for group, _ in groups)),
        folded=folded,
        smallest=250,
    )


def _panels(case: Case, groups: Sequence[Group], layers: Sequence[str], name: str) -> Iterator[Panel]:
    """Layer by layer, those of backends that differ beside each other; all with the same rows."""
    shown = rows([found[layer].shares for _, found in groups for layer in layers])
    sheets = [Sheet(shown, found[layers[0]].steps) for _, found in groups]
    for place, layer in enumerate(layers):
        for number, ((group, found), sheet) in enumerate(zip(groups, sheets, strict=True)):
            title = ", ".join(filter(None, (layer, stand_for(group, case) if len(case.alike) > 1 else "")))
            drawn = sheet.svg(found[layer].shares, f"{name}-{number}-{place}", f"Outputs of {title}, {case.label}")
            yield Panel(drawn, title)
