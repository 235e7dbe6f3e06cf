"""λ₁Σ|w| + λ₂Σw² along the flat vector, in parts that stay in the cache; λ₁ and λ₂ are 0 out of scope."""

import numpy as np

from backends.numpy.blocks import parts
from backends.numpy.flat import Flat, aligned, reader
from harness.spec import recipe as spec

Kind = spec.L1 | spec.L2 | spec.L1L2


def penalty(kind: spec.Penalty, w: Flat, g: Flat, samples: int) -> "Penalty | None":
    """The penalty on these weights, or None where there is none."""
    return None if isinstance(kind, spec.NoPenalty) else Penalty(kind, w, g, samples)


class Penalty:
    """Called, it adds its gradient to g and gives its value."""

    def __init__(self, kind: Kind, w: Flat, g: Flat, samples: int) -> None:
        self.l1, self.l2 = spec.coefficients(kind, samples)
        self.read = reader(w.vector)
        on = spec.touched(kind.on, w.views)
        signs, slopes = dict.fromkeys(on, self.l1), dict.fromkeys(on, 2 * self.l2)
        cuts = parts(w.vector, 3)
        gradient = aligned(cuts[0].stop, w.vector.dtype, w.vector)
        self.parts = [
            (
                w.vector[cut],
                g.vector[cut],
                w.spread(signs, cut),
                w.spread(slopes, cut),
                gradient[: cut.stop - cut.start],
            )
            for cut in cuts
        ]

    def __call__(self) -> float:
        return self._value(adding=True)

    def value(self) -> float:
        """The value alone."""
        return self._value(adding=False)

    def _value(self, adding: bool) -> float:
        value, read = 0.0, self.read
        for w, g, signs, slopes, gradient in self.parts:
            if self.l1:
                np.sign(w, gradient)
                np.multiply(gradient, signs, gradient)
                value += read(np.dot(gradient, w))
                if adding:
                    np.add(g, gradient, g)
            if self.l2:
                np.multiply(w, slopes, gradient)
                value += read(np.dot(gradient, w)) / 2
                if adding:
                    np.add(g, gradient, g)
        return value
