"""What each kind of finding means, in a sentence or two: the content of ``gradgauge list findings``."""

from collections.abc import Mapping

from harness.findings.diagnose import NEEDS
from harness.findings.finding import KINDS, Kind

MEANINGS: Mapping[Kind, str] = {
    "vanishing": "What comes back to a layer is a hundredth, or less, of what the loss gives the outputs, and the run "
    "learns little or late; through depth, through time, or from a step on at which a layer's weights were made small.",
    "exploding": "The same the other way: what comes back, or what is carried through time, grows a hundredfold.",
    "non_finite": "The first NaN or ±∞: at which step, in which tensor, on the way forward, back, or in the update.",
    "dead_units": "Most units of a layer give 0 for every sample of whole windows, and no gradient passes them.",
    "saturation": "Most outputs of a layer lie where its activation is flat: below a hundredth of its largest slope.",
    "frozen": "Steps are below half a unit in the last place of the weights: they stay as they are to the last bit.",
    "poor_initialisation": "Weights start far from what keeps signals of one size through these layers, "
    "or from what the problem says that they start as; another start would.",
    "step_too_large": "Steps throw the loss up, are as long as the weights, or become longer than the schedule says.",
    "step_too_small": "The weights hardly move while the loss still falls; or steps become shorter than the schedule "
    "says.",
    "clip_always_binds": "Nearly every gradient is clipped: the clip, not the rate, sets the length of the steps.",
    "clip_never_binds": "No gradient is clipped: without the clip the run is the same.",
    "lost_in_noise": "Over many batches no gradient is seen that they have in common.",
    "over_fitting": "The validation loss has risen, or stands far above the training loss, while that fell.",
    "identical_units": "Units of a layer equal each other to the last bit, and no step tells them apart.",
    "penalty_dominates": "The penalty is larger than the loss, or it or a decay shrinks the weights, and little is "
    "learned: it, not the data, is fitted.",
}


def rows() -> list[dict[str, str]]:
    """A row for each kind: its name, its meaning, what must be observed for it to be judged."""
    return [{"name": kind, "meaning": MEANINGS[kind], "needs": _needs(kind)} for kind in KINDS]


def _needs(kind: Kind) -> str:
    if kind == "over_fitting":
        return "a validation part (any level)"
    if kind not in NEEDS:
        return "losses and norms (any level)"
    series, level = NEEDS[kind]
    return f"{series.replace('_', ' ')} (level {level})"
