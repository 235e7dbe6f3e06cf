"""Dual numbers: every rule against the difference quotient, and what must not pass unseen."""

import numpy as np
import pytest

from backends.reference.activations import activation, softmax
from backends.reference.dual import PARTIALS, Dual, tangent_of, value_of
from harness.spec.activations import Elu, Exponential, Gelu, LeakyRelu, Mish, Relu, Selu, Sigmoid, Softplus, Swish, Tanh

H = 1e-6
RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("ufunc", PARTIALS, ids=lambda ufunc: ufunc.__name__)
def test_partial_derivatives(ufunc):
    x = [RANDOM.uniform(0.5, 2.0, (3, 4)) for _ in range(ufunc.nin)]
    for place in range(len(PARTIALS[ufunc])):
        t = RANDOM.standard_normal((3, 4))
        sides = [ufunc(*(one + sign * H * t if i == place else one for i, one in enumerate(x))) for sign in (1, -1)]
        found = ufunc(*(Dual(one, t) if i == place else one for i, one in enumerate(x)))
        assert value_of(found) == pytest.approx(ufunc(*x), rel=1e-15)
        assert tangent_of(found) == pytest.approx((sides[0] - sides[1]) / (2 * H), rel=1e-7, abs=1e-9)


ELEMENTWISE = (Elu(0.7), Exponential(), Gelu(), Gelu("tanh"), LeakyRelu(), Mish(), Relu(), Selu(), Sigmoid())


@pytest.mark.parametrize("phi", [*(lambda z, of=of: activation(of, z) for of in ELEMENTWISE), softmax])
def test_activations(phi):
    z, t = RANDOM.standard_normal((2, 5, 3))
    expected = (phi(z + H * t) - phi(z - H * t)) / (2 * H)
    assert tangent_of(phi(Dual(z, t))) == pytest.approx(expected, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize(("phi", "slope"), [(Softplus(), 0.5), (Swish(), 0.5), (Tanh(), 1.0), (Relu(), 0.0)])
def test_at_zero(phi, slope):
    """Where a formula may have a kink that the function has not, and where it has one."""
    assert tangent_of(activation(phi, Dual(np.zeros(1), np.ones(1)))) == pytest.approx([slope])


def test_of_equal_elements_the_first_is_the_largest():
    found = np.max(Dual([[1.0, 3.0, 3.0]], [[5.0, 6.0, 7.0]]), axis=1)
    assert (value_of(found).tolist(), tangent_of(found).tolist()) == ([3.0], [6.0])


def test_what_has_no_rule_is_refused():
    one = Dual(np.ones(2), np.ones(2))
    for refused in (np.sin, np.cumsum, lambda x: np.power(2.0, x), np.linalg.norm):
        with pytest.raises(TypeError):
            refused(one)
    with pytest.raises(ValueError, match="a tangent of shape"):
        Dual(np.ones(2), np.ones(3))
