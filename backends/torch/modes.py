"""How a step is run: which of torch's kernels updates the parameters, or everything compiled.

``eager`` leaves the choice to torch (one tensor at a time on a CPU, ``foreach`` on a GPU); ``single``, ``foreach`` and
``fused`` make it; ``compile`` hands the loss and the update to ``torch.compile``.
"""

import inspect
import os
import re
import shutil

import torch

from backends.torch import decays, optimizers
from harness.errors import Unsupported
from harness.spec.cell import Cell
from harness.spec.optimizers import Momentum
from harness.spec.recipe import NoDecay
from harness.spec.schedules import Constant

EAGER = "eager"
KERNELS = {
    "single": {"foreach": False, "fused": False},
    "foreach": {"foreach": True, "fused": False},
    "fused": {"foreach": False, "fused": True},
}
COMPILED = "compile"
# What the state of an optimizer starts from, where that is not zero: a compiled step must keep its tensors.
FRESH: dict[str, dict[str, float]] = {
    "SGD": {},
    "Adam": {},
    "AdamW": {},
    "RMSprop": {},
    "Adadelta": {},
    "Adamax": {},
    "NAdam": {"mu_product": 1.0},
    "RAdam": {},
}
MODES = (EAGER, *KERNELS, COMPILED)


def check(cell: Cell) -> None:
    """Refuse, with the reason, a mode that would not be what its name says."""
    if cell.mode in ("default", EAGER):
        return
    origin = optimizers.origin(cell)
    named = re.match(r"torch\.optim\.(\w+)", origin.by)
    if origin.how != "native" or named is None:
        raise Unsupported(f"mode {cell.mode}: {origin.why or origin.by}, and a composed update is eager")
    if cell.mode in KERNELS:
        missing = KERNELS[cell.mode].keys() - inspect.signature(getattr(torch.optim, named[1])).parameters.keys()
        if cell.mode in missing or (cell.mode == "single" and missing == KERNELS["single"].keys()):
            raise Unsupported(f"mode {cell.mode}: {named[0]} has no such kernel")
    elif named[1] not in FRESH or (isinstance(cell.recipe.optimizer, Momentum) and cell.recipe.optimizer.dampening):
        raise Unsupported(f"mode compile: nobody has tried {origin.by} in it")
    elif not isinstance(cell.recipe.schedule, Constant):
        raise Unsupported("mode compile: a rate that changes is compiled anew at each step")
    elif not isinstance(cell.recipe.decay, NoDecay) and not decays.is_native(cell):
        raise Unsupported("mode compile: a decay beside the optimizer is eager")
    elif cell.device == "cpu" and not any(map(shutil.which, ("g++", "c++", "clang++"))):
        raise Unsupported("mode compile: torch.compile needs a C++ compiler (apt-get install g++)")
    elif cell.device == "cuda" and not ("CC" in os.environ or any(map(shutil.which, ("gcc", "clang")))):
        raise Unsupported("mode compile: on a GPU Triton builds its launchers with a C compiler (apt-get install gcc)")


def kernel(cell: Cell) -> dict[str, bool]:
    """The options of a parameter group that choose the kernel."""
    return KERNELS.get(cell.mode, {})


@torch.no_grad()
def refresh(optimizer: torch.optim.Optimizer) -> None:
    """The state as newly built, in the same tensors: others would be compiled anew."""
    first = FRESH[type(optimizer).__name__]
    for state in optimizer.state.values():
        for name, tensor in state.items():
            if isinstance(tensor, torch.Tensor):
                tensor.fill_(first.get(name, 0.0))
