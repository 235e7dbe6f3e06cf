"""The harness is framework-free: shown in a fresh process."""

import subprocess
import sys

FRAMEWORKS = ("torch", "tensorflow", "keras", "jax", "jaxlib", "optax")

EVERYTHING = """
import importlib, pkgutil, sys
import harness
for module in pkgutil.walk_packages(harness.__path__, "harness."):
    if module.name != "harness.worker":  # it takes over descriptor 1
        importlib.import_module(module.name)
from harness import registry, listing
registry.declared()
for kind in listing.KINDS:
    listing.rows(kind)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""

WORKER = (
    "import sys; import harness.worker; print(*sorted({n.partition('.')[0] for n in sys.modules}), file=sys.stderr)"
)


def test_importing_all_of_the_harness_imports_no_framework():
    done = subprocess.run([sys.executable, "-c", EVERYTHING], capture_output=True, text=True, check=True)
    assert "harness" in done.stdout.split()
    assert not set(done.stdout.split()) & set(FRAMEWORKS)


def test_the_worker_imports_no_framework_before_it_is_asked():
    done = subprocess.run([sys.executable, "-c", WORKER], capture_output=True, text=True, check=True)
    assert "msgspec" in done.stderr.split()
    assert not set(done.stderr.split()) & set(FRAMEWORKS)


def test_the_spec_imports_the_standard_library_numpy_and_msgspec_only():
    code = (
        "import importlib, pkgutil, sys, harness.spec\n"
        "for m in pkgutil.walk_packages(harness.spec.__path__, 'harness.spec.'): importlib.import_module(m.name)\n"
        "print(*{n.partition('.')[0] for n in sys.modules} - set(sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    foreign = {name for name in done.stdout.split() if not name.startswith("_")}
    assert foreign <= {"harness", "numpy", "msgspec", "typing_extensions"}  # the last is msgspec's own import
