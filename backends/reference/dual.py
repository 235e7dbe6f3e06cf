"""Dual numbers: what a formula of NumPy's makes of v + εt, ε² = 0, is its value and, exactly, its slope along t.

The gradients here are formulas, not a framework's graph: on dual parameters w + εv they are g + εHv, H the Hessian
(Pearlmutter 1994). Differences of gradients would be wrong wherever a step crosses a kink of ReLU or of a maximum; a
dual number is compared by its value alone, and takes of two equal ones the second, as ReLU's derivative at 0 does.
An operation without a rule raises.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.special import erfc

from harness.backend import Floats

Plain = np.ndarray[tuple[int, ...], np.dtype[Any]]
Partial = Callable[..., Any]  # (y, *arguments) → ∂y/∂argument


class Dual(np.ndarray[tuple[int, ...], np.dtype[np.float64]]):
    """An array with a tangent of its shape and kind. A subclass, so that ``np.asanyarray`` leaves it as it is.

    float32 stays what it is, for contenders that compute in it; all else becomes float64.
    """

    tangent: Floats

    def __new__(cls, value: Any, tangent: Any) -> Dual:
        kind = np.float32 if getattr(value, "dtype", None) == np.float32 else np.float64
        self: Dual = np.asarray(value, kind).view(cls)
        self.tangent = np.asarray(tangent, kind)
        if self.tangent.shape != self.shape:
            raise ValueError(f"a tangent of shape {self.tangent.shape} for a value of shape {self.shape}")
        return self

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **words: Any) -> Any:
        (into,) = words.pop("out", (None,))
        kind = next(one.dtype for one in (*inputs, into) if isinstance(one, Dual))
        values = [_like(value_of(one), kind) for one in inputs]
        if method == "at" and ufunc is np.add:
            target, index, added = inputs
            np.add.at(value_of(target), index, values[2])
            np.add.at(target.tangent, index, tangent_of(added))
            return None
        if method != "__call__" or words:
            return NotImplemented
        y = _product(*values) if ufunc is np.matmul else ufunc(*values)
        if ufunc in CONSTANT:
            return y
        tangent = _of_ufunc(ufunc, y, inputs, values)
        if into is None:
            return Dual(y, tangent)
        value_of(into)[...], into.tangent[...] = y, tangent
        return into

    def __array_function__(self, function: Any, types: Any, arguments: Any, words: Any) -> Any:
        if function in FUNCTIONS:
            return FUNCTIONS[function](*arguments, **words)
        if function in LINEAR:
            return _linear(function, arguments, words)
        raise TypeError(f"{function.__name__} has no rule for dual numbers")

    def __getitem__(self, index: Any) -> Dual:
        return Dual(value_of(self)[index], self.tangent[index])

    def __setitem__(self, index: Any, value: Any) -> None:
        value_of(self)[index] = value_of(value)
        self.tangent[index] = tangent_of(value)

    def astype(self, dtype: Any) -> Any:  # type: ignore[override]
        """As whole numbers, which have no tangent: what is looked up in an embedding."""
        return value_of(self).astype(dtype)

    def reshape(self, *shape: Any) -> Dual:  # type: ignore[override]
        return Dual(value_of(self).reshape(*shape), self.tangent.reshape(*shape))

    def ravel(self) -> Dual:  # type: ignore[override]
        return self.reshape(-1)

    @property
    def T(self) -> Dual:
        """Axes the other way round."""
        return Dual(value_of(self).T, self.tangent.T)

    def sum(self, axis: Any = None, keepdims: bool = False) -> Dual:  # type: ignore[override]
        return Dual(value_of(self).sum(axis=axis, keepdims=keepdims), self.tangent.sum(axis=axis, keepdims=keepdims))

    def mean(self, axis: Any = None, keepdims: bool = False) -> Dual:  # type: ignore[override]
        return Dual(value_of(self).mean(axis=axis, keepdims=keepdims), self.tangent.mean(axis=axis, keepdims=keepdims))


def value_of(one: Any) -> Any:
    """Without the tangent, a view."""
    return one.view(np.ndarray) if isinstance(one, Dual) else one


def _like(one: Any, kind: Any) -> Any:
    """Constants in float64, arrays and NumPy's numbers, beside dual numbers in float32 become such too."""
    return one.astype(kind) if isinstance(one, np.ndarray | np.float64) and one.dtype == np.float64 else one


def tangent_of(one: Any) -> Any:
    """The tangent; of what has none, zeros; of a mere number, 0."""
    if isinstance(one, Dual):
        return one.tangent
    return np.zeros(one.shape, np.result_type(one, np.float32)) if isinstance(one, np.ndarray) else 0.0


CONSTANT = {np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal, np.isfinite, np.sign}
ONE = 1.0  # itself: what is multiplied by it is left as it is
PARTIALS: dict[np.ufunc, tuple[Partial, ...]] = {
    np.add: (lambda y, a, b: ONE, lambda y, a, b: ONE),
    np.subtract: (lambda y, a, b: ONE, lambda y, a, b: -1.0),
    np.multiply: (lambda y, a, b: b, lambda y, a, b: a),
    np.divide: (lambda y, a, b: 1 / b, lambda y, a, b: -y / b),
    np.power: (lambda y, a, p: np.where(p == 0, 0.0, p * np.power(a, np.where(p == 0, 1, p) - 1)),),
    np.square: (lambda y, a: 2 * a,),
    np.negative: (lambda y, a: -1.0,),
    np.absolute: (lambda y, a: np.sign(a),),
    np.maximum: (lambda y, a, b: np.greater(a, b), lambda y, a, b: np.less_equal(a, b)),
    np.minimum: (lambda y, a, b: np.less(a, b), lambda y, a, b: np.greater_equal(a, b)),
    np.exp: (lambda y, a: y,),
    np.expm1: (lambda y, a: y + 1,),
    np.log: (lambda y, a: 1 / a,),
    np.logaddexp: (lambda y, a, b: np.exp(a - y), lambda y, a, b: np.exp(b - y)),
    np.tanh: (lambda y, a: 1 - y**2,),
    np.sqrt: (lambda y, a: 0.5 / y,),
    erfc: (lambda y, a: -2 / math.sqrt(math.pi) * np.exp(-(a**2)),),
}


def _of_ufunc(ufunc: np.ufunc, y: Any, inputs: Sequence[Any], values: list[Any]) -> Any:
    """Σ ∂y/∂argument · tangent over the arguments that have one."""
    if ufunc is np.matmul:
        (a, b), (da, db) = values, [tangent_of(one) for one in inputs]
        return _product(da, b) + _product(a, db)
    terms = []
    for i, one in enumerate(inputs):
        if isinstance(one, Dual):
            if ufunc not in PARTIALS or i >= len(PARTIALS[ufunc]):
                raise TypeError(f"{ufunc.__name__} has no rule for dual numbers in its place {i}")
            partial = PARTIALS[ufunc][i](y, *values)
            terms.append(one.tangent if partial is ONE else partial * one.tangent)
    tangent = functools.reduce(np.add, terms)
    shared = any(tangent is getattr(one, "tangent", None) for one in inputs)
    return np.broadcast_to(tangent, np.shape(y)).copy() if shared or tangent.shape != np.shape(y) else tangent


def _product(a: Any, b: Any) -> Any:
    """a @ b, by BLAS at once where a is a stack of matrices and b is one: NumPy takes them one by one."""
    if a.ndim > 2 and b.ndim == 2:
        return (a.reshape(-1, a.shape[-1]) @ b).reshape(*a.shape[:-1], b.shape[-1])
    return a @ b


def _each(of: Callable[[Any], Any], arguments: Any) -> Any:
    """The arguments with ``of`` of every array among them."""
    if isinstance(arguments, list | tuple) and any(isinstance(one, Dual | list | tuple) for one in arguments):
        return type(arguments)(_each(of, one) for one in arguments)
    return of(arguments) if isinstance(arguments, np.ndarray) else arguments


def _linear(function: Any, arguments: Any, words: Any) -> Any:
    """What is linear in its arrays does the same to their tangents."""
    value = function(*_each(value_of, arguments), **words)
    tangent = function(*_each(tangent_of, arguments), **words)
    return [Dual(*one) for one in zip(value, tangent, strict=True)] if isinstance(value, list) else Dual(value, tangent)


def _where(marked: Any, a: Any, b: Any) -> Dual:
    value = np.where(marked, value_of(a), value_of(b))
    return Dual(value, np.where(marked, tangent_of(a), tangent_of(b)))


def _einsum(how: str, a: Any, b: Any) -> Dual:
    (x, y), (dx, dy) = (value_of(a), value_of(b)), (tangent_of(a), tangent_of(b))
    products = [np.einsum(how, *two, optimize=True) for two in ((x, y), (dx, y), (x, dy))]  # by BLAS where it can
    return Dual(products[0], products[1] + products[2])


def _max(a: Dual, axis: int, keepdims: bool = False) -> Dual:
    """The first largest element, with its tangent."""
    place = np.expand_dims(np.argmax(value_of(a), axis=axis), axis)
    found = [np.take_along_axis(one, place, axis) for one in (value_of(a), a.tangent)]
    return Dual(*(one if keepdims else one.squeeze(axis) for one in found))


def _pad(a: Dual, width: Any, constant_values: float = 0.0) -> Dual:
    return Dual(np.pad(value_of(a), width, constant_values=constant_values), np.pad(a.tangent, width))


def _alike(make: Any) -> Callable[[Dual], Dual]:
    """An array of the shape of another, to be filled: with dual numbers."""
    return lambda a: Dual(make(value_of(a)), np.zeros(a.shape))


LINEAR = {np.sum, np.mean, np.stack, np.concatenate, np.split, np.swapaxes, np.broadcast_to}
FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.where: _where,
    np.einsum: _einsum,
    np.max: _max,
    np.argmax: lambda a, axis: np.argmax(value_of(a), axis=axis),
    np.pad: _pad,
    np.shape: lambda a: a.shape,
    **{make: _alike(make) for make in (np.zeros_like, np.ones_like, np.empty_like)},
}
