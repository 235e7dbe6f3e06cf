"""When what was found: a panel a case, a row a kind of finding, a mark at the first step at which it is so."""

from collections.abc import Iterator, Sequence

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from harness.findings.finding import KINDS, SEVERITIES, Finding, Kind, Severity
from harness.report import canvas, commands
from harness.report.health_runs import Case, Run, stand_for
from harness.report.health_words import kind_words
from harness.report.material import Material
from harness.report.section import Figure, Panel
from harness.report.words import counted

WIDTH, ROW, BELOW, ABOVE = 372.0, 24.0, 34.0, 6.0
SHAPES: dict[Severity, str] = {"note": "o", "warning": "^", "failure": "X"}
FILLS: dict[Severity, str] = {"note": canvas.PAPER, "warning": canvas.SOFT, "failure": canvas.BAD}


def figures(material: Material, cases: Sequence[Case]) -> list[Figure]:
    """A panel for each case of which something alarms; of backends that differ in it, one each."""
    shown = [(case, group) for case in cases for group in case.alike if not group[0].diagnosis.healthy]
    if not shown:
        return []
    panels = [
        Panel(
            _drawn(case, group[0], f"health-timeline-{place}", f"Findings, {case.label}"),
            case.label + (f", {stand_for(group, case)}" if len(case.alike) > 1 else ""),
            _lost(group),
        )
        for place, (case, group) in enumerate(shown)
    ]
    figure = Figure(
        "health-timeline",
        "When: the first step of each finding",
        panels,
        note="Circle: a note. Triangle: a warning, it costs training something. Cross: a failure, it ends training or "
        "a layer's part in it. Beside a mark its layer; nothing beside it: the run as a whole. Left out: where nothing "
        "alarms.",
        again=commands.again(material, (run.record for _, group in shown for run in group)),
        smallest=320,
    )
    return [figure]


def _lost(group: Sequence[Run]) -> str:
    step = group[0].diverged_at
    return "" if step is None else f"diverged at step {step}"


def _drawn(case: Case, run: Run, name: str, title: str) -> Markup:
    findings = run.diagnosis.findings
    kinds = [kind for kind in KINDS if any(finding.kind == kind for finding in findings)]
    words = {place: kind_words(kind) for place, kind in enumerate(kinds)}
    margins = (canvas.room(list(words.values())), 12.0, BELOW, ABOVE)
    drawn = canvas.axes(WIDTH, ROW * len(kinds) + BELOW + ABOVE, margins)
    last = max([run.seen.steps - 1, 1, *(finding.step for finding in findings)])
    drawn.set_xlim(-0.03 * last, 1.03 * last)
    drawn.set_ylim(len(kinds) - 0.5, -0.5)
    for place in range(len(kinds)):
        drawn.axhline(place, color=canvas.LINE, lw=0.8, zorder=0)
    for place, kind in enumerate(kinds):
        _row(drawn, place, list(_marks(findings, kind)), WIDTH - margins[0] - margins[1])
    ticks = MaxNLocator(4, steps=[1, 2, 5, 10], integer=True).tick_values(0, last)
    canvas.frame(drawn, {x: f"{x:g}" for x in ticks if 0 <= x <= last}, words, "step")
    return canvas.svg(drawn, name, title)


def _marks(findings: Sequence[Finding], kind: Kind) -> Iterator[tuple[int, Severity, str]]:
    """Step, the worst severity and the layer, or how many."""
    by_step: dict[int, list[Finding]] = {}
    for finding in findings:
        if finding.kind == kind:
            by_step.setdefault(finding.step, []).append(finding)
    for step, found in sorted(by_step.items()):
        worst = max((finding.severity for finding in found), key=SEVERITIES.index)
        layers = [finding.layer for finding in found if finding.layer]
        yield step, worst, layers[0] if len(layers) == 1 else counted(len(layers), "layer") if layers else ""


def _row(drawn: Axes, place: int, marks: Sequence[tuple[int, Severity, str]], width: float) -> None:
    """The marks of one kind, each with its words right of it, or left of it near the end; none over another mark."""
    low, high = drawn.get_xlim()
    at = [(step - low) / (high - low) * width for step, *_ in marks]
    free = 0.0  # up to where words stand
    for x, after, (step, severity, text) in zip(at, [*at[1:], width + 7], marks, strict=True):
        drawn.plot([step], [place], SHAPES[severity], ms=8, mew=1.2, mec=canvas.INK, mfc=FILLS[severity], clip_on=False)
        long = 6.0 * len(text)
        right, left = x + 8 + long <= after - 7, x - 8 - long >= free
        if text and (right or left):
            drawn.annotate(
                text,
                (step, place),
                xytext=(8 if right else -8, 0),
                textcoords="offset points",
                ha="left" if right else "right",
                va="center_baseline",
                fontsize=canvas.FONT - 1,
                color=canvas.SOFT,
                bbox={"boxstyle": "square,pad=0.05", "fc": canvas.PAPER, "ec": "none"},
            )
        free = x + 8 + (long if right else 0)
