"""What a plan says of its origins is what a trainer really uses: the framework's names that it quotes are watched.

Every function or class that an origin names in full must exist. Where it says native, building a trainer and, but for
optimizers, making a step must call it; where it says composed, the optimizer that the reason names must not be called.

Not checked: which function of a module computes a piece of which the module alone is named (``jax.nn``, ``tf.math``;
of ``torch.nn`` and ``keras.layers`` those backends' own tests look at the layers that are made); and that what is
called does the whole of the work, which is for the comparisons with the reference to show.
"""

import contextlib
import importlib
import inspect
import re
from unittest import mock

import pytest

from harness import support
from harness.errors import Unsupported
from harness.problems import task as tasks
from harness.spec.cell import Budget, Cell
from harness.spec.problem import Network

FULL = re.compile(r"\b(?:torch|keras|tf|jax|optax|scipy)(?:\.[A-Za-z]\w*)+")
BARE = {  # where the names of these backends' schedules and functionals stand
    "torch": ("torch.optim.lr_scheduler", "torch.nn.functional"),
    "tensorflow": ("keras.optimizers.schedules",),
}
# What a name stands for where its parts are put together: the operator, the method, the transformation beside the rate.
PARTS = {
    "torch.add": "torch.Tensor.__add__",
    "torch.mean": "torch.Tensor.mean",
    "optax.sgd": "optax.trace",
    "optax.yogi": "optax.scale_by_yogi",
}
BASES = ("keras.optimizers.schedules.LearningRateSchedule",)  # of classes of ours, which make no other


def resolved(name):
    """What holds a dotted name, and what it names."""
    root, *rest = name.split(".")
    holder, found = None, importlib.import_module({"tf": "tensorflow"}.get(root, root))
    for part in rest:
        holder, found = found, getattr(found, part)
    return holder, found


def quoted(text, backend):
    """The functions and classes that a text names; AttributeError for one that does not exist."""
    names = FULL.findall(text)
    for namespace in BARE.get(backend, ()):
        bare = re.findall(r"(?<![.\w=])[A-Za-z_]\w+", text)
        names += [f"{namespace}.{name}" for name in bare if hasattr(importlib.import_module(namespace), name)]
    return [name for name in dict.fromkeys(names) if name not in BASES and not inspect.ismodule(resolved(name)[1])]


@contextlib.contextmanager
def watched(names):
    """The set of those names that are called meanwhile."""
    called = set()

    def telling(name, real):
        def call(*arguments, **options):
            called.add(name)
            return real(*arguments, **options)

        return call

    with contextlib.ExitStack() as stack:
        for name in names:
            for alias in filter(None, (name, PARTS.get(name))):
                holder, found = resolved(alias)
                where = (found, "__init__") if inspect.isclass(found) else (holder, alias.rpartition(".")[2])
                stack.enter_context(mock.patch.object(*where, telling(name, getattr(*where))))
        yield called


def asked(word, name, implementation):
    task = tasks.make(word.problem)
    batch = 8 if isinstance(word.problem, Network) else 1
    budget = Budget(steps=2, batch=batch)
    return Cell(word.problem, word.recipe, budget, name, implementation, precision="float64"), task


def use(backend, cell, task, step):
    """Build a trainer, and have it make a step."""
    order = tasks.order(task.samples, cell.budget, 0)
    trainer = backend.trainer(cell, task, tasks.initial(task, 0), len(order), True)
    if step:
        trainer.train(order[:1])


WORDS = {f"{word.kind}: {word.text}": word for word in support.words()}


@pytest.mark.parametrize("implementation", support.IMPLEMENTATIONS)
@pytest.mark.parametrize("text", WORDS)
def test_what_an_origin_names_is_called_where_it_is_native_and_not_where_it_is_composed(
    backend, name, text, implementation
):
    word = WORDS[text]
    cell, task = asked(word, name, implementation)
    try:
        origin = backend.plan(cell, task.parameters)[word.piece]
    except Unsupported:
        with pytest.raises(Unsupported):
            use(backend, cell, task, step=True)
        return
    native = origin.how == "native"
    if native:
        names = quoted(origin.by, name)
    else:
        quoted(origin.why, name)  # all that the reason names exists
        names = quoted(origin.why.partition(":")[0], name) if word.kind == "optimizers" else []
    if names:
        with watched(names) as called:
            use(backend, cell, task, step=word.kind != "optimizers")  # which are made when a trainer is built
        assert called == (set(names) if native else set())


def test_a_watched_name_that_is_not_used_is_told_from_one_that_is():
    import json

    with mock.patch.dict(PARTS, {}, clear=True), watched(["json.dumps", "json.JSONDecoder"]) as called:
        json.dumps(1)
    assert called == {"json.dumps"}
    with pytest.raises(AttributeError):
        quoted("scipy.special.no_such_function", "numpy")
