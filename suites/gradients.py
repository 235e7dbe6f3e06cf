"""Gradient norms over depth and time, and how often a clip binds: of the runs that ``convergence`` reports."""

from suites import training


class GradientNorms(training.Trained):
    """Decades between the first and the last layer's gradient norm, before the clip."""

    def track_depth(self, figures: training.Figures, contender: str, problem: str, recipe: str) -> float:
        """|log10(last/first)|, the median over training."""
        return training.figure(figures, "depth", contender, problem, recipe)

    def track_worst_depth(self, figures: training.Figures, contender: str, problem: str, recipe: str) -> float:
        """|log10(last/first)|, the largest over training."""
        return training.figure(figures, "worst depth", contender, problem, recipe)

    def track_clip_rate(self, figures: training.Figures, contender: str, problem: str, recipe: str) -> float:
        """The share of steps whose global norm is above the threshold."""
        return training.figure(figures, "clip rate", contender, problem, recipe)

    track_depth.unit = "decades"  # type: ignore[attr-defined]
    track_worst_depth.unit = "decades"  # type: ignore[attr-defined]
    track_clip_rate.unit = "share"  # type: ignore[attr-defined]
