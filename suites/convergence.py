"""How training goes: the loss after a budget, steps and seconds to a target; divergence has tracks of its own."""

from suites import training


class Convergence(training.Trained):
    """Some epochs of a perceptron; the target is the problem's own, on the validation part."""

    def track_loss(self, figures: training.Figures, contender: str, problem: str, recipe: str) -> float:
        """The training loss at the end."""
        return training.figure(figures, "loss", contender, problem, recipe)

    def track_steps_to_target(self, figures: training.Figures, contender: str, problem: str, recipe: str) -> float:
        """Updates until the first of 20 evaluations that met the target."""
        return training.figure(figures, "steps", contender, problem, recipe)

    def track_seconds_to_target(self, figures: training.Figures, contender: str, problem: str, recipe: str) -> float:
        """Those updates times the steady step time of the same cell: evaluation is never in the clock."""
        return training.figure(figures, "seconds", contender, problem, recipe)

    def track_missed_target(self, figures: training.Figures, contender: str, problem: str, recipe: str) -> float:
        """1 where the target was not met, or training diverged."""
        return training.figure(figures, "missed target", contender, problem, recipe)

    def track_diverged(self, figures: training.Figures, contender: str, problem: str, recipe: str) -> float:
        """1 where a loss was not finite."""
        return training.figure(figures, "diverged", contender, problem, recipe)

    track_loss.unit = "loss"  # type: ignore[attr-defined]
    track_steps_to_target.unit = "steps"  # type: ignore[attr-defined]
    track_seconds_to_target.unit = "seconds"  # type: ignore[attr-defined]
    track_missed_target.unit = "runs"  # type: ignore[attr-defined]
    track_diverged.unit = "runs"  # type: ignore[attr-defined]
