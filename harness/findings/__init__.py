"""From what was observed of a training run to what is wrong with it, judged by theory (``harness.health``)."""
