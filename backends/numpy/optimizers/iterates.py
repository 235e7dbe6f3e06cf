"""Steps that remember where the weights were: means of the iterates, or the steps between them."""

import math
from collections import deque
from collections.abc import Mapping

import numpy as np

from backends.numpy.decays import adder
from backends.numpy.flat import Array, Flat, Spread, norm
from backends.numpy.memory import Memory
from backends.numpy.optimizers.averages import fold_square, root
from harness.spec import optimizers as spec


class ScheduleFree:
    """z ← z − η(u + λw); x ← (1 − c)x + cz; Δ = w − ((1 − β)z + βx)."""

    def __init__(self, optimizer: spec.ScheduleFree, w: Array, g: Array, decay: Spread, memory: Memory) -> None:
        self.spec, self.w, self.g = optimizer, w, g
        self.u, self.delta = memory.scratch(g), memory.scratch(g)
        self.z, self.x = memory.state(w), memory.state(w)
        self.v = memory.state(g) if optimizer.base == "adam" else g[:0]
        np.copyto(self.z, w)
        np.copyto(self.x, w)
        self.add, self.squares = adder(decay, w, self.u, memory), 0.0

    def __call__(self, eta: float, t: int) -> Array:
        o, g, u, z, x, delta = self.spec, self.g, self.u, self.z, self.x, self.delta
        if o.base == "adam":
            k = (1 - o.beta2) / (1 - o.beta2**t)
            fold_square(g, o.beta2, self.v, delta)
            root(self.v, k, o.eps, "outside", delta)
            np.multiply(delta, math.sqrt(k), out=delta)
            np.divide(g, delta, out=u)
        else:
            np.copyto(u, g)
        self.add()
        np.multiply(u, eta, out=u)
        np.subtract(z, u, out=z)
        c = self._share(eta, t)
        np.multiply(x, 1 - c, out=x)
        np.multiply(z, c, out=delta)
        np.add(x, delta, out=x)
        np.multiply(z, 1 - o.beta, out=delta)
        np.multiply(x, o.beta, out=u)
        np.add(delta, u, out=delta)
        return np.subtract(self.w, delta, out=delta)

    def _share(self, eta: float, t: int) -> float:
        """c = η²/Ση², 0 as long as η was 0; or 1/t."""
        self.squares += eta * eta
        if self.spec.weights == "equal":
            return 1 / t
        return eta * eta / self.squares if self.squares else 0.0


class LBFGS:
    """Δ = η(Hg + λw) by two loops over the kept pairs s = −Δ₋₁, y = g − g₋₁ with sᵀy > ``curvature``."""

    def __init__(self, optimizer: spec.LBFGS, w: Flat, g: Flat, decay: Mapping[str, float], memory: Memory) -> None:
        self.spec, self.g, like = optimizer, g.vector, g.vector
        self.g_before, self.q, self.term = memory.state(like), memory.state(like), memory.scratch(like)  # q becomes Δ
        self.add = adder(w.spread(decay), w.vector, self.q, memory)
        self.pairs: deque[tuple[Array, Array, float]] = deque()  # (s, y, sᵀy), oldest first
        self.spare = [(memory.state(like), memory.state(like)) for _ in range(optimizer.memory + 1)]

    def __call__(self, eta: float, t: int) -> Array:
        if t == 1:
            np.multiply(self.g, self._first(), out=self.q)
        else:
            self._remember()
            self._two_loops()
        np.copyto(self.g_before, self.g)
        self.add()
        return np.multiply(self.q, eta, out=self.q)

    def _first(self) -> float:
        """min(1, 1/‖g‖₁) or min(1, 1/‖g‖₂) of the first gradient, or 1."""
        match self.spec.first:
            case "l1":
                size = float(np.abs(self.g, out=self.term).sum())
            case "l2":
                size = norm(self.g)
            case "plain":
                size = 0.0
        return min(1.0, 1 / size if size else 1.0)

    def _remember(self) -> None:
        """Take in the newest pair if its curvature is enough, in the place of the oldest if the memory is full."""
        s, y = self.spare.pop()
        np.negative(self.q, out=s)
        np.subtract(self.g, self.g_before, out=y)
        curvature = float(np.dot(s, y))
        if curvature > self.spec.curvature:
            self.pairs.append((s, y, curvature))
            if len(self.pairs) <= self.spec.memory:
                return
            s, y, _ = self.pairs.popleft()
        self.spare.append((s, y))

    def _two_loops(self) -> None:
        """q = Hg, H₀ = γI (Nocedal & Wright 2006, algorithm 7.4)."""
        q, term, shares = self.q, self.term, []
        np.copyto(q, self.g)
        for s, y, curvature in reversed(self.pairs):
            a = float(np.dot(s, q)) / curvature
            shares.append(a)
            np.multiply(y, a, out=term)
            np.subtract(q, term, out=q)
        if self.pairs:
            _, y, curvature = self.pairs[-1]
            np.multiply(q, curvature / float(np.dot(y, y)), out=q)
        for (s, y, curvature), a in zip(self.pairs, reversed(shares), strict=True):
            np.multiply(s, a - float(np.dot(y, q)) / curvature, out=term)
            np.add(q, term, out=q)
