"""Arrays that NumPy reaches by its protocols alone, as it reaches CuPy's, and that refuse what CuPy 14.2 refuses.

They compute with NumPy. So a run on them ends where a run on the host ends, to the last bit, unless an array was made
in the wrong place, was read back, or was asked for something that CuPy has not. What CuPy has is written down here, and
held against CuPy itself by ``tests/backends/numpy/test_cuda.py`` where that is installed.
"""

import inspect
from contextlib import contextmanager

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from scipy import special

# cupy.NAME and its parameters.
FUNCTIONS = {
    "arange": "start, stop=None, step=1, dtype=None",
    "asarray": "a, dtype=None, order=None, *, copy=None, blocking=False",
    "clip": "a, a_min, a_max, out=None",
    "concatenate": "tup, axis=0, out=None, *, dtype=None, casting='same_kind'",
    "copyto": "dst, src, casting='same_kind', where=None",
    "count_nonzero": "a, axis=None",
    "dot": "a, b, out=None",
    "empty": "shape, dtype=float, order='C'",
    "empty_like": "prototype, dtype=None, order='K', subok=None, shape=None",
    "full_like": "a, fill_value, dtype=None, order='K', subok=None, shape=None",
    "may_share_memory": "a, b, max_work=None",
    "mean": "a, axis=None, dtype=None, out=None, keepdims=False",
    "ones_like": "a, dtype=None, order='K', subok=None, shape=None",
    "repeat": "a, repeats, axis=None",
    "split": "ary, indices_or_sections, axis=0",
    "vdot": "a, b",
    "zeros": "shape, dtype=float, order='C'",
    "zeros_like": "a, dtype=None, order='K', subok=None, shape=None",
}
SIGNATURES = {name: inspect.signature(eval(f"lambda {parameters}: None")) for name, parameters in FUNCTIONS.items()}
# cupy.NAME, elementwise: inputs, then possibly the output; of keywords out, dtype and casting, but not where.
UFUNCS = frozenset(
    (
        *("absolute", "add", "divide", "equal", "exp", "expm1", "greater", "greater_equal", "isfinite", "log", "log1p"),
        *("logical_and", "logical_xor", "maximum", "minimum", "multiply", "negative", "not_equal", "reciprocal"),
        *("sign", "sqrt", "subtract", "tanh"),
    )
)
SPECIAL = frozenset({"ndtr"})  # cupyx.scipy.special.NAME
PRODUCT = "matmul"  # cupy.matmul(a, b, out=None)
METHODS = frozenset(["astype", "copy", "dot", "fill", "max", "min", "reshape", "sum", "swapaxes", "take", "transpose"])
SCALARS = (bool, int, float, np.bool_, np.number)


class Elsewhere(NDArrayOperatorsMixin):
    """An array that is not NumPy's."""

    reads = 0  # how often any was waited for, to make a number of it
    copies = 0  # how often CuPy would have copied an input first, which is in the output's place but is another view
    used: set[str] = set()  # functions that were called, by name

    def __init__(self, inside):
        assert type(inside) is np.ndarray
        self.inside = inside

    # What NumPy hands on ----------------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc, method, *inputs, out=(None,), **words):
        name, (out,) = ufunc.__name__, out
        for one in (*inputs, *(() if out is None else (out,))):
            if not isinstance(one, (Elsewhere, *SCALARS)):
                raise TypeError(f"{name} of an array of the host's: {type(one)}")
        if method == "__call__" and name == PRODUCT:
            assert not words and len(inputs) == 2
        elif method == "__call__":
            assert name in UFUNCS | SPECIAL, name
            assert words.keys() <= {"dtype", "casting"}, words
        elif method == "reduce":
            assert name in ("add", "multiply"), f"cupy.{name}.reduce is not supported yet"
            assert words.keys() <= {"axis", "dtype", "keepdims"}, words
        elif method == "at":
            assert name == "add" and not words
        else:
            raise AssertionError(f"{name}.{method}")
        self.used.add(name)
        if out is not None:
            others = [one for one in inputs if isinstance(one, Elsewhere) and one is not out]
            Elsewhere.copies += sum(np.may_share_memory(one.inside, out.inside) for one in others)
            words["out"] = (out.inside,)
        made = getattr(ufunc, method)(*(inside(one) for one in inputs), **words)
        return out if out is not None else None if made is None else Elsewhere(np.asarray(made))

    def __array_function__(self, function, types, args, words):
        name = function.__name__
        assert function.__module__ == "numpy" and name in FUNCTIONS, f"{function.__module__}.{name}"
        bound = SIGNATURES[name].bind(*args, **words)
        self.used.add(name)
        given = bound.arguments
        if name == "asarray":
            return Elsewhere(np.array(inside(given["a"]), given.get("dtype"), copy=True))
        for one in flattened(given.values()):
            if isinstance(one, np.ndarray) and name != "split":  # where it is the places of the cuts
                raise TypeError(f"{name} of an array of the host's")
        if name == "dot" and given.get("out") is not None:
            out = given["out"].inside
            assert out.flags.c_contiguous, "Output array must be C-contiguous"
            assert out.dtype == np.result_type(inside(given["a"]), inside(given["b"])), "Not supported dtype"
        if name == "copyto" and given.get("where") is not None:
            assert given["where"].dtype == bool
        made = function(*unpacked(args), **{word: unpacked(value) for word, value in words.items()})
        if isinstance(made, list):
            return [Elsewhere(piece) for piece in made]
        if name == "may_share_memory":
            return made
        return given["out"] if given.get("out") is not None else None if made is None else Elsewhere(np.asarray(made))

    def __array__(self, *args, **words):
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    # What its owner asks of it ----------------------------------------------------------------------------------------

    def __getattr__(self, name):
        if name in ("shape", "ndim", "size", "dtype", "itemsize", "nbytes"):
            return getattr(self.inside, name)
        if name == "T":
            return Elsewhere(self.inside.T)
        raise AttributeError(name)

    def __len__(self):
        return len(self.inside)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key):
        return Elsewhere(np.asarray(self.inside[place(key)]))

    def __setitem__(self, key, value):
        if not isinstance(value, (Elsewhere, *SCALARS)):
            raise TypeError(f"an array of the host's is set: {type(value)}")
        self.inside[place(key)] = inside(value)

    def __float__(self):
        Elsewhere.reads += 1
        return float(self.inside)

    def __bool__(self):
        Elsewhere.reads += 1
        return bool(self.inside)

    def take(self, indices, axis=None, out=None):
        assert isinstance(indices, Elsewhere) and indices.dtype == np.intp
        if out is not None:
            assert out.dtype == self.dtype
        self.inside.take(indices.inside, axis, None if out is None else out.inside)
        return out

    def dot(self, other, out=None):
        return np.dot(self, other, out)

    def max(self, axis=None, out=None, keepdims=False):
        assert out is None or out.dtype == self.dtype
        made = self.inside.max(axis, None if out is None else out.inside, keepdims)
        return Elsewhere(np.asarray(made)) if out is None else out

    def min(self, axis=None, out=None, keepdims=False):
        assert axis is None and out is None and not keepdims
        return Elsewhere(np.asarray(self.inside.min()))

    def sum(self, axis=None, dtype=None, out=None, keepdims=False):
        return np.add.reduce(self.reshape(-1) if axis is None else self, axis or 0, dtype, out, keepdims)

    def fill(self, value):
        assert isinstance(value, SCALARS)
        self.inside.fill(value)

    def astype(self, dtype):
        return Elsewhere(self.inside.astype(dtype))

    def copy(self):
        return Elsewhere(self.inside.copy())

    def reshape(self, *shape):
        return Elsewhere(self.inside.reshape(*shape))

    def swapaxes(self, first, second):
        return Elsewhere(self.inside.swapaxes(first, second))

    def transpose(self, *axes):
        return Elsewhere(self.inside.transpose(*axes))


def inside(value):
    return value.inside if isinstance(value, Elsewhere) else value


def place(key):
    """An index, whose arrays must lie with the array that is looked into."""
    assert not any(isinstance(one, np.ndarray) for one in (key if isinstance(key, tuple) else (key,)))
    return tuple(map(inside, key)) if isinstance(key, tuple) else inside(key)


def unpacked(value):
    if isinstance(value, (list, tuple)):
        return type(value)(unpacked(one) for one in value)
    return inside(value)


def flattened(values):
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from flattened(value)
        else:
            yield value


class Place:
    """What ``backends.numpy.device`` asks of a device, of these arrays."""

    def __init__(self):
        self.like = Elsewhere(np.empty(0))
        self.fences = 0

    def fence(self):
        self.fences += 1

    def fetch(self, array):
        self.fences += 1
        assert isinstance(array, Elsewhere)
        return array.inside.copy()

    def write(self, into, values):
        assert isinstance(values, np.ndarray) and into.inside.flags.c_contiguous
        into.inside[...] = values

    def generator(self):
        return np.random.Generator(np.random.SFC64(0))

    def draw(self, generator, into):
        generator.random(out=into.inside, dtype=into.dtype)

    @contextmanager
    def undrawn(self, generator):
        state = generator.bit_generator.state
        yield
        generator.bit_generator.state = state


assert isinstance(special.ndtr, np.ufunc)  # which NumPy therefore hands on by its name
