"""GPUs: what the driver says, what is missing on a device and its cure, what a job's fingerprint holds."""

import sys
from dataclasses import replace

import pytest
from msgspec import structs

from harness import doctor, environment, gpu, listing, registry
from harness.backend import Addition
from harness.errors import InvalidInput, Unsupported
from harness.spec.job import Agreement, Convergence, Speed
from harness.spec.problem import RandomGradients
from harness.study import Grid, Study, select
from suites import contenders

TOLD = "NVIDIA H100 80GB HBM3, 550.54.15, 81559 MiB\nNVIDIA T4, 550.54.15, 15360 MiB\n\n"
H100 = "NVIDIA H100 80GB HBM3, driver 550.54.15, 81559 MiB"
CURE = "a-library-nobody-has not installed: pip install 'gradgauge[nobody]' -c constraints.txt"
NUMPY = registry.find("numpy")


@pytest.fixture
def one_gpu(monkeypatch):
    """A machine on which nvidia-smi tells of a GPU."""
    monkeypatch.setattr(gpu, "gpus", lambda: gpu.parsed(TOLD)[:1])


@pytest.fixture
def lacking(monkeypatch):
    """A NumPy that needs something for GPUs that is not installed."""
    declared = replace(NUMPY, additions={"cuda": Addition(("a-library-nobody-has",), "nobody")})
    monkeypatch.setattr(registry, "declared", lambda: {"numpy": declared})
    environment.ask.cache_clear()
    yield declared
    environment.ask.cache_clear()


@pytest.fixture
def having(monkeypatch):
    """A NumPy that needs for GPUs what everybody has here, by its second name."""
    declared = replace(NUMPY, additions={"cuda": Addition(("a-library-nobody-has", "msgspec"), "nobody")})
    monkeypatch.setattr(registry, "declared", lambda: {"numpy": declared})
    environment.ask.cache_clear()
    yield declared
    environment.ask.cache_clear()


def test_a_line_of_nvidia_smi_is_a_gpu():
    assert gpu.parsed(TOLD) == (H100, "NVIDIA T4, driver 550.54.15, 15360 MiB")
    assert gpu.parsed("") == ()


def test_facts_tell_of_gpus_libraries_and_variables_and_without_a_gpu_of_nothing(one_gpu, monkeypatch):
    monkeypatch.setenv("CUDA_LAUNCH_BLOCKING", "1")
    monkeypatch.setattr(gpu, "installed", lambda *beginnings: {"nvidia-cudnn-cu12": "9.28"})
    assert gpu.facts() == {"GPUs": H100, "nvidia-cudnn-cu12": "9.28", "CUDA_LAUNCH_BLOCKING": "1"}
    monkeypatch.setattr(gpu, "gpus", lambda: ())
    assert gpu.facts() == gpu.libraries() == {}


def test_distributions_are_found_by_how_they_begin():
    assert set(gpu.installed("msg", "pytest")) >= {"msgspec", "pytest"}
    assert gpu.installed("a-library-nobody-has") == {}


def test_what_sees_no_gpu_says_whether_the_machine_has_one_and_the_cure(one_gpu, monkeypatch):
    assert gpu.unseen("JAX", "get it") == f"device cuda: this JAX sees no GPU (nvidia-smi tells of {H100}; get it)"
    monkeypatch.setattr(gpu, "gpus", lambda: ())
    assert gpu.unseen("JAX") == "device cuda: this JAX sees no GPU (nvidia-smi tells of none on this machine)"


def test_a_device_lacks_what_its_backend_does_not(lacking):
    assert registry.missing(lacking) is None
    assert registry.missing(lacking, "cuda") == CURE
    offered = environment.describe(lacking)
    assert (offered.missing, offered.lacks("cpu"), offered.lacks("cuda")) == (None, None, CURE)
    (row,) = listing.rows("backends")
    assert row["runs here"] == "yes"
    assert row["devices"] == f"cpu\ncuda ({CURE})"


def test_any_of_several_distributions_will_do(having):
    assert registry.missing(having, "cuda") is None
    assert registry.additional(having, "cuda") == {"msgspec": registry.additional(having, "cuda")["msgspec"]}
    assert registry.additional(having, "cpu") == {}


def test_the_doctor_tells_what_a_device_lacks(lacking):
    (row,) = doctor.examine(1, {})
    assert row["devices"] == f"cpu, cuda ({CURE})"
    assert row["state"] == "ok"


def test_a_job_on_a_gpu_is_another_on_another_gpu_driver_or_library(having, one_gpu, monkeypatch):
    monkeypatch.setattr(gpu, "libraries", lambda: {"nvidia-cublas-cu12": "12.9"})

    def of(device):
        return environment.fingerprint(sys.executable, "numpy", RandomGradients(), 1, device)

    on_host, on_gpu = of("cpu"), of("cuda")
    assert on_host.machine == environment.machine()
    assert on_gpu.machine == f"{environment.machine()}; {H100}"
    assert set(on_gpu.packages) - set(on_host.packages) == {"msgspec", "nvidia-cublas-cu12"}


def test_a_selection_leaves_out_the_device_and_keeps_the_host(lacking):
    grid = Grid(Convergence(), ("rosenbrock",), backends=("numpy",), devices=("cpu", "cuda"))
    selection = select(Study("both", "", (grid,)))
    assert selection.unavailable == {"numpy on cuda": CURE}
    assert {job.cell.device for job in selection.jobs} == {"cpu"}
    with pytest.raises(InvalidInput, match="numpy on cuda: a-library-nobody-has not installed"):
        select(Study("one", "", (Grid(Convergence(), ("rosenbrock",), backends=("numpy",), devices=("cuda",)),)))


def test_what_is_on_a_gpu_is_compared_with_a_reference_on_the_host():
    grid = Grid(Agreement(), ("rosenbrock",), devices=("cuda",), precisions=("float64",))
    found = {(job.cell.backend, job.cell.device) for job in select(Study("same", "", (grid,))).jobs}
    assert ("reference", "cpu") in found
    assert {device for backend, device in found if backend != "reference"} <= {"cuda"}


def test_a_benchmark_is_skipped_with_what_its_device_lacks(lacking, monkeypatch):
    monkeypatch.setattr(contenders, "DEVICE", "cuda")
    cell = contenders.cell("numpy eager", RandomGradients(), contenders.case("rosenbrock").recipe, 1)
    with pytest.raises(NotImplementedError, match="a-library-nobody-has not installed: pip install"):
        contenders.job(cell, Speed())


def test_the_reference_refuses_a_gpu():
    cell = contenders.cell("reference eager", RandomGradients(), contenders.case("rosenbrock").recipe, 1)
    on_gpu = registry.find("reference").open(1).plan
    with pytest.raises(Unsupported, match="device cuda: the reference computes on the CPU only"):
        on_gpu(structs.replace(cell, device="cuda", precision="float64"), ())
