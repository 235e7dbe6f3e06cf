"""Install a wheel of gradgauge beside the framework versions that asv has put into the environment already.

``python install.py CONSTRAINTS WHEEL``, run by asv in each environment that it builds: every version is the one that
the commit's constraints pin, but for what the matrix of ``asv.conf.json`` asked for by another version. Where
``GRADGAUGE_DEVICE`` is ``cuda``, with what the frameworks that are there need for GPUs.
"""

import os
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

FRAMEWORKS = ("torch", "tensorflow", "keras", "jax", "jaxlib", "optax", "numpy", "cupy-cuda12x")
FOR_GPUS = {"tensorflow": "tensorflow-cuda", "jax": "jax-cuda", "cupy-cuda12x": "cupy"}  # framework → gradgauge's extra


def main(constraints: str, wheel: str) -> None:
    """Pin what is not pinned by the matrix, and install."""
    given = {}
    for name in FRAMEWORKS:
        try:
            given[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    lines = Path(constraints).read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if line.partition("==")[0].strip().lower() not in given]
    kept += [f"{name}=={version}" for name, version in given.items()]
    extras = [FOR_GPUS[name] for name in given if name in FOR_GPUS and os.environ.get("GRADGAUGE_DEVICE") == "cuda"]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as pinned:
        pinned.write("\n".join(kept) + "\n")
        pinned.flush()
        asked = f"{wheel}[{','.join(extras)}]" if extras else wheel
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--constraint", pinned.name, asked]
        subprocess.run(install, check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
