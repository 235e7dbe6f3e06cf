"""What every backend computes natively, what is composed and what it lacks, word by word: ``docs/support.md``.

``python -m harness.support`` prints the document; each backend is asked in a process of its own.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

import msgspec

from harness import registry
from harness.backend import Backend, Origin
from harness.errors import Unsupported
from harness.problems import task as tasks
from harness.spec.activations import ACTIVATIONS, Tanh
from harness.spec.cell import Budget, Cell
from harness.spec.layers import (
    GRU,
    LSTM,
    Attention,
    AveragePool,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePool,
    Layer,
    LayerNorm,
    MaxPool,
    Position,
    Reshape,
    Residual,
    SimpleRNN,
)
from harness.spec.losses import LOSSES, BinaryCrossEntropy, CrossEntropy
from harness.spec.optimizers import OPTIMIZERS, SGD
from harness.spec.problem import DataSet, Network, Problem, RandomGradients
from harness.spec.recipe import CLIPS, DECAYS, PENALTIES, ByValue, Recipe
from harness.spec.schedules import SCHEDULES, Step
from harness.spec.spellings import short
from harness.spec.variants import variants

IMPLEMENTATIONS: tuple[Literal["exact", "shipped"], ...] = ("exact", "shipped")
Words = dict[str, dict[str, Origin | str]]  # word → implementation → where it comes from, or why it is unsupported


class Word(NamedTuple):
    """A word, what kind it is, and a cell's problem and recipe in which it stands."""

    kind: str
    text: str
    piece: str  # the plan's name of it
    problem: Problem
    recipe: Recipe


def words() -> Iterator[Word]:
    """Every word of the vocabulary. An optimizer stands under a changing rate, which tells inside from outside."""
    random, sgd = RandomGradients(), SGD()
    for kind in OPTIMIZERS:
        for variant in variants(kind):
            yield Word("optimizers", short(variant), "optimizer", random, Recipe(variant, schedule=Step()))
    for clip in (*(kind() for kind in CLIPS), ByValue(-1.0, 2.0)):
        yield Word("clips", short(clip), "clip", random, msgspec.structs.replace(Recipe(sgd), clip=clip))
    for penalty in (variant for kind in PENALTIES for variant in variants(kind)):
        yield Word("penalties", short(penalty), "penalty", random, Recipe(sgd, penalty=penalty))
    for decay in (variant for kind in DECAYS for variant in variants(kind)):
        yield Word("decays", short(decay), "decay", random, Recipe(sgd, decay=decay))
    for schedule in (kind() for kind in SCHEDULES):
        yield Word("schedules", short(schedule), "schedule", random, Recipe(sgd, schedule=schedule))
    for layer in layers():
        network = Network(
            DataSet("digits", scaling="none"), (*before(layer), layer, Flatten(), Dense(10)), CrossEntropy()
        )
        yield Word("layers", short(layer), "model", network, Recipe(sgd))
    for loss in (variant for kind in LOSSES for variant in variants(kind)):
        data, units = "diabetes", 1
        if isinstance(loss, CrossEntropy):
            data, units = "iris", 3
        elif isinstance(loss, BinaryCrossEntropy):
            data = "breast_cancer"
        yield Word("losses", short(loss), "loss", Network(DataSet(data), (Dense(units),), loss), Recipe(sgd))


def layers() -> Iterator[Layer]:
    """Every layer in every form that may be computed in a way of its own."""
    yield from (Dense(3), Conv2D(3), Conv2D(3, padding="same"), Conv2D(3, strides=(2, 2), padding="same"))
    for window in ((2, 2), (3, 3)):
        yield MaxPool(window, (2, 2), "same")
        for counts in (False, True):
            yield AveragePool(window, (2, 2), "same", counts_padding=counts)
    yield from (GlobalAveragePool(), Flatten(), Reshape((4, 16)), Embedding(17, 3), Position())
    yield from (SimpleRNN(3), SimpleRNN(3, "relu"), LSTM(3), GRU(3), GRU(3, reset="before"))
    yield from (Attention(2), Attention(2, causal=True), Residual((Tanh(),)), Dropout())
    yield from (BatchNorm(), BatchNorm(running="biased"), LayerNorm())
    for kind in ACTIVATIONS:
        yield from variants(kind)


def before(layer: Layer) -> tuple[Layer, ...]:
    """What makes of 64 pixels the inputs that a layer takes."""
    match layer:
        case Conv2D() | MaxPool() | AveragePool():
            return (Reshape((8, 8, 1)),)
        case SimpleRNN() | LSTM() | GRU() | Attention() | Position() | GlobalAveragePool():
            return (Reshape((8, 8)),)
        case _:
            return ()


def asked(backend: Backend, name: str) -> Words:
    """Where a backend takes each word from, ``exact`` and ``shipped``."""
    found: Words = {}
    for word in words():
        parameters = tasks.make(word.problem).parameters
        answers = found[f"{word.kind}: {word.text}"] = {}
        for implementation in IMPLEMENTATIONS:
            cell = Cell(word.problem, word.recipe, Budget(steps=1), name, implementation, precision="float64")
            try:
                answers[implementation] = backend.plan(cell, parameters)[word.piece]
            except Unsupported as error:
                answers[implementation] = str(error)
    return found


def cell(answers: Mapping[str, Origin | str]) -> str:
    """One cell of the table: how ``exact`` is made, and how ``shipped`` is another formula."""
    exact, shipped = answers["exact"], answers["shipped"]
    if isinstance(exact, str):
        return f"unsupported: {exact}"
    if exact.how == "native":
        return f"native: {exact.by}"
    another = (
        f"; shipped {shipped.by}: {shipped.why}"
        if isinstance(shipped, Origin) and shipped.how == "native" and shipped.why
        else ""
    )
    return f"composed{another}"


def document(found: Mapping[str, Words]) -> str:
    """The document: a table for each kind, a row for each word, a column for each backend."""
    lines = [
        "# What is native, what is composed",
        "",
        "Made by `make support` from what the backends themselves answer; a test compares it with them. *native*: the "
        "framework's own computes the word's formula; a plain sum, as x + f(x), is any framework's own. *composed*: "
        "built from the framework's primitives, because its "
        "own computes another or there is none. *shipped*: the framework's own under that name, where its formula is "
        "another. Optimizers are asked under a rate that changes, which tells a rate inside a buffer from one outside. "
        "Fields at their default are left out.",
    ]
    kinds = dict.fromkeys(word.kind for word in words())
    for kind in kinds:
        lines += ["", f"## {kind}", "", f"| | {' | '.join(found)} |", "|---" * (len(found) + 1) + "|"]
        for word in words():
            if word.kind == kind:
                answers = [cell(of[f"{kind}: {word.text}"]).replace("|", "\\|") for of in found.values()]
                lines.append(f"| `{word.text}` | {' | '.join(answers)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the document, or, with a backend's name, its answers."""
    if len(sys.argv) > 1:
        name = sys.argv[1]
        sys.stdout.write(msgspec.json.encode(asked(registry.find(name).open(threads=1), name)).decode())
        return
    found = {}
    for name, declared in registry.declared().items():
        if declared.timed and not registry.missing(declared):
            done = subprocess.run([sys.executable, "-m", "harness.support", name], capture_output=True, check=True)
            found[name] = msgspec.json.decode(done.stdout, type=Words)
    sys.stdout.write(document(found))


if __name__ == "__main__":
    main()
