"""The environments that asv makes of our configurations, as asv makes them; and what is installed into them."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from asv import environment, util
from asv.config import Config

from harness import registry
from suites import install

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATIONS = sorted(path.name for path in ROOT.glob("asv*.conf.json"))
PINNED = dict(
    line.lower().split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")
)
FRAMEWORKS = {"torch", "tensorflow", "jax", "cupy-cuda12x"}


def environments(name):
    return list(environment.get_environments(Config.load(str(ROOT / name)), None))


def frameworks(one):
    return FRAMEWORKS & set(one.requirements)


def test_one_environment_for_each_framework_on_gpus():
    found = environments("asv.gpu.conf.json")
    assert sorted(map(sorted, map(frameworks, found))) == [[name] for name in sorted(FRAMEWORKS)]
    assert all(one.env_vars == one.build_env_vars == {"GRADGAUGE_DEVICE": "cuda"} for one in found)
    assert len({one.dir_name for one in found} | {one.dir_name for one in environments("asv.conf.json")}) == 5
    for one in found:  # each can run its backend whole: what else that needs is there
        needed = next(d for d in registry.declared().values() if {*d.requires, *needs_for_gpus(d)} & frameworks(one))
        assert set(needed.requires) <= set(one.requirements)


def needs_for_gpus(declaration):
    return declaration.additions["cuda"].any_of if "cuda" in declaration.additions else ()


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_what_asv_asks_pip_for_is_what_the_configuration_says(name):
    """asv 0.6.6 would read "jax[cuda12] 0.10.2" as version 12 of jax."""
    for one in environments(name):
        for package, version in one.requirements.items():
            asked = []
            util.construct_pip_call(asked.append, util.ParsedPipDeclaration(f"{package} {version}"))()
            assert asked[0][-1] == f"{package}=={version}"


@pytest.mark.parametrize("name", ["asv.conf.json", "asv.gpu.conf.json"])
def test_versions_are_those_of_the_constraints(name):
    for one in environments(name):
        assert {package: PINNED[package] for package in one.requirements} == one.requirements


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_results_lie_in_a_file_that_a_file_system_takes(name):
    for one in environments(name):
        assert re.fullmatch(r"[\w.+-]+", one.name)


PRESENT = [
    ({"numpy": "2.4.6", "jax": "0.10.1", "optax": "0.2.8"}, "cuda", "w.whl[jax-cuda]"),
    ({"numpy": "2.4.6", "torch": "2.13.0"}, "cuda", "w.whl"),
    ({"numpy": "2.4.6", "tensorflow": "2.21.0", "keras": "3.15.1"}, "cuda", "w.whl[tensorflow-cuda]"),
    ({"numpy": "2.4.6", "cupy-cuda12x": "14.2.0"}, "cuda", "w.whl[cupy]"),
    ({"numpy": "2.4.6", "jax": "0.10.2"}, "", "w.whl"),
    ({"numpy": "2.4.6"}, "cuda", "w.whl"),
]


@pytest.mark.parametrize(("present", "device", "asked"), PRESENT, ids=lambda value: str(value))
def test_a_framework_is_kept_and_gets_what_it_needs_for_gpus(present, device, asked, monkeypatch, tmp_path):
    """Its version is the matrix's, all others are the constraints'; frameworks that are absent stay so."""

    def version(name):
        if name not in present:
            raise metadata.PackageNotFoundError(name)
        return present[name]

    said = []

    def run(command, check):
        assert check
        said.extend((command, Path(command[command.index("--constraint") + 1]).read_text().splitlines()))

    monkeypatch.setattr(install.metadata, "version", version)
    monkeypatch.setattr(install.subprocess, "run", run)
    monkeypatch.setenv("GRADGAUGE_DEVICE", device)
    (tmp_path / "constraints.txt").write_text("jax==0.10.2\nscipy==1.0\nNumPy==2.4.5\n")
    install.main(str(tmp_path / "constraints.txt"), "w.whl")
    command, pins = said
    assert command[-1] == asked
    assert "scipy==1.0" in pins and "NumPy==2.4.5" not in pins
    assert all(f"{name}=={number}" in pins for name, number in present.items())
    assert [pin for pin in pins if pin.startswith("jax==")] == [f"jax=={present.get('jax', '0.10.2')}"]


def test_the_extras_are_gradgauges():
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    asked = {*install.FOR_GPUS.values(), *(d.extra for d in registry.declared().values() if d.extra)}
    asked |= {addition.extra for d in registry.declared().values() for addition in d.additions.values()}
    assert asked <= set(known)
