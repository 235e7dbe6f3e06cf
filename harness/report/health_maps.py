"""Layer × step maps: signals, gradients and updates of every case, with its findings marked on them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from harness.findings.finding import KINDS, Kind
from harness.findings.seen import NOTHING, Seen, Track
from harness.judge.speed import Floats
from harness.observation import SIGNAL
from harness.report import commands
from harness.report.health_runs import Case, Run, drawn_alone, stand_for
from harness.report.health_sheet import AGAINST, DECADES, SHARE, Colours, Grid, Mark, Sheet, grid
from harness.report.material import Material
from harness.report.section import Figure, Panel
from harness.spec.activations import ACTIVATIONS
from harness.spec.architecture import Place, is_weight, output_shape

Sheets = dict[tuple[object, ...], Sheet]
NOTE = (
    "One row a layer or weight, from input to output. Rings: findings, by their number in the table of findings. "
    "Blank: 0, or unknown. Magenta with ×: not finite. Theory is of the start; grey: as it expects. "
)


class Quantity(NamedTuple):
    """What a map shows."""

    name: str
    title: str
    colours: Colours
    grid: Callable[[Seen], Grid | None]  # None where nothing of it was observed
    kinds: tuple[Kind, ...] = KINDS  # of findings that are marked on it


def figures(material: Material, cases: Sequence[Case]) -> list[Figure]:
    """One figure a case, all but the first with findings folded away; of several seeds the first, and what is ill."""
    sheets: Sheets = {}
    found = [
        _figure(material, case, f"health-{place}-maps", folded, sheets)
        for place, (case, folded) in enumerate(drawn_alone(cases))
    ]
    return [figure for figure in found if figure.panels]


def _figure(material: Material, case: Case, name: str, folded: bool, sheets: Sheets) -> Figure:
    panels = []
    for quantity in QUANTITIES:
        grids = [(group, made) for group in case.alike if (made := quantity.grid(group[0].seen)) and made.shows]
        limits = quantity.colours.limits(made.values for _, made in grids)
        for place, (group, made) in enumerate(grids):
            whose = stand_for(group, case)
            layout = (quantity.colours, made.rows, *made.steps, made.span)
            sheet = sheets[layout] = sheets.get(layout) or Sheet(made, quantity.colours)
            panels.append(
                Panel(
                    sheet.svg(
                        made,
                        limits,
                        list(marks(case, group[0], made, quantity.kinds)),
                        f"{name}-{quantity.name}-{place}",
                        f"{quantity.title}, {case.label}, {whose}",
                    ),
                    f"{quantity.title}{f', {whose}' if len(case.alike) > 1 else ''}",
                )
            )
    shown = [group[0] for group in case.alike]
    alone = len(case.alike) > 1 or len(case.runs) == 1
    who = "" if alone else f"Drawn: {case.runs[0].contender.name}; the others alarm of the same. "
    return Figure(
        name,
        f"Layer by layer: {case.label}",
        panels,
        note=f"{NOTE}{who}{case.setting.conditions}, seed {case.seed}.",
        again=commands.again(material, (run.record for run in shown)),
        folded=folded,
        smallest=320,
    )


def marks(case: Case, run: Run, on: Grid, kinds: Sequence[Kind]) -> Iterator[Mark]:
    """The findings that belong to a row of a map: its own, or those of a layer whose weight it is."""
    for number, finding in (one for one in case.of(run) if one[1].kind in kinds):
        layer = finding.layer if finding.layer in on.rows else finding.layer.rpartition(".")[0]
        if layer in on.rows:
            yield Mark(number, on.rows.index(layer), float(finding.step))


def signals(seen: Seen) -> Grid | None:
    """log₁₀ ‖∂L/∂y‖ of each layer; not finite too where its outputs are not."""
    names = [place.name for place in seen.places if len(seen.track(SIGNAL, place.name))]
    if not names:
        return None
    found = grid({name: _plain(seen.track(SIGNAL, name)) for name in names}, _every(seen), decades=True)
    for row, name in enumerate(names):
        outputs = seen.track("nonfinite", name)
        found.broken[row, np.searchsorted(found.steps, outputs.steps[outputs.values > 0])] = True
    found.values[found.broken] = np.nan
    return found


def profile(seen: Seen) -> Grid | None:
    """The same over the last layer's, and over what theory expects of that at the start.

    Over the last layer's, because all signals shrink as a network learns; what vanishes or explodes does so on the way.
    """
    found, expected = signals(seen), seen.expected
    if found is None or expected is None:
        return None
    theory = np.array([expected.layers[name].gradient for name in found.rows])
    with np.errstate(divide="ignore", invalid="ignore"):
        decades = np.log10(theory) / 2
    values = (found.values - found.values[-1]) - (decades - decades[-1])[:, None]
    if not np.isfinite(values[:-1]).any():
        return None
    return replace(found, values=values)


def gradients(seen: Seen) -> Grid | None:
    """log₁₀ of the norm of each weight's gradient, before the clip."""
    return _of_weights(seen, lambda name: seen.track("gradient_norm", name))


def updates(seen: Seen) -> Grid | None:
    """log₁₀ ‖Δw‖/‖w‖ of each weight."""

    def ratio(name: str) -> Track:
        moved, size = seen.track("update_norm", name), seen.track("weight_norm", name)
        if not len(moved):
            return NOTHING
        with np.errstate(invalid="ignore"):  # of ∞ by ∞, where a run breaks
            shares = moved.values / np.maximum(size.values, 1e-300)
        return Track(moved.steps, np.where(size.values == 0, 0.0, shares))

    return _of_weights(seen, ratio)


def share(series: str) -> Callable[[Seen], Grid | None]:
    """A share of each layer's outputs or units over windows; none where it is 0 in all. Of zeros, activations only."""

    def made(seen: Seen) -> Grid | None:
        tracks: dict[str, tuple[Floats, Floats]] = {}
        for place in seen.places:
            track, of = seen.track(series, place.name), units(place) if series == "dead" else 1
            if len(track) and (series != "zeros" or isinstance(place.layer, ACTIVATIONS)):
                tracks[place.name] = _plain(Track(track.steps, track.values / of))
        return _of_windows(seen, tracks, decades=False) if any(v.any() for _, v in tracks.values()) else None

    return made


def spreads(seen: Seen) -> Grid | None:
    """log₁₀ of the standard deviation of each layer's outputs over windows."""
    tracks = {place.name: seen.track("spread", place.name) for place in seen.places}
    found = {name: _plain(track) for name, track in tracks.items() if len(track)}
    return _of_windows(seen, found, decades=True) if found else None


def _of_windows(seen: Seen, tracks: Mapping[str, tuple[Floats, Floats]], decades: bool) -> Grid:
    return grid(tracks, _every(seen) * seen.measure.window, decades)


FORWARD: tuple[Kind, ...] = ("vanishing", "exploding", "non_finite", "poor_initialisation", "identical_units")
QUANTITIES = (
    Quantity("signal", "Signal, log₁₀ ‖∂L/∂y‖", DECADES, signals),
    Quantity("gradient", "Gradient of the weights, log₁₀ ‖g‖", DECADES, gradients),
    Quantity("update", "Update, log₁₀ ‖Δw‖/‖w‖", DECADES, updates),
    Quantity("profile", "Signal over the last layer's: decades off theory", AGAINST, profile),
    Quantity("spread", "Standard deviation of outputs, log₁₀", DECADES, spreads, FORWARD),
    Quantity("zeros", "Share of outputs that are 0", SHARE, share("zeros"), ("dead_units",)),
    Quantity("saturated", "Share of outputs that are saturated", SHARE, share("saturated"), ("saturation",)),
    Quantity("dead", "Share of units that are dead", SHARE, share("dead"), ("dead_units",)),
)


def _of_weights(seen: Seen, track: Callable[[str], Track]) -> Grid | None:
    """Decades of each weight, under its layer's name where that has no other."""
    weights = [name for name in seen.task.parameters if is_weight(name) and len(track(name))]
    if not weights:
        weights = [name for name in seen.task.parameters if len(track(name))]  # a function's variables
    if not weights:
        return None
    layers = [name.rpartition(".")[0] for name in weights]
    rows = {}
    for name, layer in zip(weights, layers, strict=True):
        alone = name.endswith(".weight") and layers.count(layer) == 1
        rows[layer if alone else name] = _plain(track(name))
    return grid(rows, _every(seen), decades=True)


def _plain(track: Track) -> tuple[Floats, Floats]:
    return track.steps.astype(float), track.values


def _every(seen: Seen) -> float:
    """Steps between two observed ones."""
    return float(seen.measure.every)


def units(place: Place) -> int:
    """The size of a layer's last axis."""
    return output_shape(place.layer, place.inputs)[-1]
