"""The long-memory tasks of Hochreiter & Schmidhuber (1997) and after: sequences of any length, made from a fixed seed.

Each hides what matters far from where it is asked for, so that a network that cannot carry a gradient over ``length``
steps does no better than the figure that each function states.
"""

import numpy as np

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Made = tuple[Floats, np.ndarray]

SYMBOLS, MEMORY = 8, 5  # of the copy task: as many symbols, as many of them to keep
BLANK, RECALL = SYMBOLS, SYMBOLS + 1
MARKS = (4, 5)  # X and Y of the temporal order; 0 … 3 are distractors, 6 and 7 the first and last symbol
WAYS = {"adding": (2,), "copy": (), "temporal_order": ()}  # the shape of one time step


def made(name: str, length: int, samples: int) -> Made:
    """Inputs (samples, length, …) and targets."""
    rng = np.random.default_rng(0)
    match name:
        case "adding":
            return adding(length, samples, rng)
        case "copy":
            return copy(length, samples, rng)
        case _:
            return temporal_order(length, samples, rng)


def adding(length: int, samples: int, rng: np.random.Generator) -> Made:
    """Uniform numbers in [0, 1), of which a mark picks one in each half; the target is their sum (Le et al. 2015).

    Inputs (samples, length, 2): number and mark. Who always answers 1 has the mean squared error 1/6.
    """
    x = np.zeros((samples, length, 2))
    x[:, :, 0] = rng.random((samples, length))
    rows, half = np.arange(samples), length // 2
    first, second = rng.integers(0, half, samples), rng.integers(half, length, samples)
    x[rows, first, 1] = x[rows, second, 1] = 1
    return x, (x[rows, first, 0] + x[rows, second, 0])[:, None]


def copy(length: int, samples: int, rng: np.random.Generator) -> Made:
    """Five symbols of eight, blanks, a call to recall, five places to repeat the symbols in (Arjovsky et al. 2016).

    Inputs (samples, length) are symbols, 8 for blank, 9 for the call; labels (samples, length) are 8 but for the last
    five. Who guesses these alone is right in 1 − 5/length·7/8 of all places, at a cross-entropy of 5/length·log 8.
    """
    x = np.full((samples, length), float(BLANK))
    y = np.full((samples, length), BLANK, dtype=np.int64)
    symbols = rng.integers(0, SYMBOLS, (samples, MEMORY))
    x[:, :MEMORY], y[:, -MEMORY:] = symbols, symbols
    x[:, -MEMORY - 1] = RECALL
    return x, y


def temporal_order(length: int, samples: int, rng: np.random.Generator) -> Made:
    """Which of XX, XY, YX, YY stands among distractors (experiment 6a of Hochreiter & Schmidhuber 1997).

    Inputs (samples, length) are symbols 0 … 7: a first and a last one of their own, X or Y at a place in the second
    tenth and one in the sixth, distractors else. Labels (samples,): 0 … 3. Who guesses is right once in four.
    """
    x = rng.integers(0, MARKS[0], (samples, length)).astype(np.float64)
    x[:, 0], x[:, -1] = 6, 7
    rows, tenth = np.arange(samples), length // 10
    order = rng.integers(0, 2, (samples, 2))
    for column, start in enumerate((tenth, 5 * tenth)):
        x[rows, rng.integers(start, start + tenth, samples)] = np.array(MARKS)[order[:, column]]
    return x, 2 * order[:, 0] + order[:, 1]
