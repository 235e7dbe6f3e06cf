"""Local execution: every way to fail becomes a record, and nothing else is lost."""

import pytest

from harness.execute import local as local_module
from harness.execute.local import Local, Settings, pending
from harness.execute.process import Process
from harness.execute.timing import comparison
from harness.spec.base import key
from harness.spec.job import Agreement, Convergence, FirstCall, Speed
from harness.store import Store
from harness.study import Grid, Study, select


def run(folder, *grids, limit=60.0, retry=False):
    selection = select(Study("test", "", grids))
    with Store.create(folder, {"study": None}) as store:
        todo = pending(selection.jobs, store, retry)
        done = []
        with Local(store, Settings(limit=limit), done.append) as local:
            local.run(todo)
    return selection.jobs, done, Store(folder)


def grid(backend, optimizer="sgd[lr=0.001]", measure=None, seeds=1):
    return Grid(
        measure or Convergence(evaluations=2), ("rosenbrock",), (optimizer,), backends=(backend,),
        precisions=("float64",), seeds=seeds, steps=10,
    )  # fmt: skip


FAULTS = [
    ("crashing", "tests.faulty:CRASHING", "failed", "signal SIGSEGV"),
    ("hanging", "tests.faulty:HANGING", "timeout", "no answer within 3 s"),
    ("refusing", "tests.faulty:REFUSING", "unsupported", "this framework has no such layer"),
    ("raising", "tests.faulty:RAISING", "failed", "ZeroDivisionError: a bug in a framework (faulty.py:"),
    ("unopenable", "tests.faulty:UNOPENABLE", "failed", "libfancy.so: cannot open shared object file"),
]


def test_each_fault_is_a_record_and_the_others_are_fine(tmp_path):
    grids = [grid(backend) for _, backend, _, _ in FAULTS]
    grids += [grid("reference", seeds=3), grid("reference", "sgd[lr=1e300]"), grid("numpy")]
    _, done, store = run(tmp_path, *grids, limit=3.0)
    by_backend = {record.job.cell.backend: record for record in store.records()}
    for _, backend, status, reason in FAULTS:
        assert by_backend[backend].status == status
        assert reason in by_backend[backend].reason
    diverged = [r for r in store.records() if r.status == "diverged"]
    assert [r.reason for r in diverged] == ["the loss is not finite from step 1"]
    assert sum(r.status == "ok" for r in store.records()) == 4
    assert len(done) == len(FAULTS) + 5


def test_final_records_are_not_run_again_and_retry_runs_the_others(tmp_path):
    grids = (grid("reference"), grid("tests.faulty:RAISING"), grid("tests.faulty:REFUSING"))
    run(tmp_path, *grids)
    _, again, _ = run(tmp_path, *grids)
    assert again == []
    _, retried, _ = run(tmp_path, *grids, retry=True)
    assert [record.job.cell.backend for record in retried] == ["tests.faulty:RAISING"]


def test_a_fault_in_a_timed_group_leaves_the_others_their_blocks(tmp_path):
    measure = Speed(blocks=3, block_seconds=0.005, warm_up=2, processes=2)
    grids = [grid(b, measure=measure) for b in ("reference", "numpy", "tests.faulty:CRASHING")]
    jobs, _, store = run(tmp_path, *grids)
    assert len({comparison(job) for job in jobs}) == 1
    records = {record.job.cell.backend: record for record in store.records()}
    assert records["tests.faulty:CRASHING"].status == "failed"
    assert records["numpy"].facts["session"] == records["reference"].facts["session"]
    for name in ("reference", "numpy"):
        seconds = records[name].series("step_seconds")
        assert list(seconds["step"]) == [0, 1, 2, 3, 4, 5]  # three blocks of each process
        assert (seconds["value"] > 0).all()
        assert (records[name].series("pace")["value"] > 0).all()
        assert len(records[name].series("pace")) == 6
        assert records[name].facts["pace"].startswith("NumPy ")


def test_timed_jobs_get_new_processes_each_time_and_share_them(tmp_path, monkeypatch):
    started = []

    class Counted(Process):
        def __init__(self, backend, *given):
            started.append(backend)
            super().__init__(backend, *given)

    monkeypatch.setattr(local_module, "Process", Counted)
    measure = Speed(blocks=1, block_seconds=0.001, warm_up=0, processes=3)
    _, done, _ = run(tmp_path, *(grid("numpy", o, measure) for o in ("sgd[lr=0.001]", "adam[lr=0.001]")), grid("numpy"))
    assert [record.status for record in done] == ["ok"] * 3
    assert started == ["numpy"] * 4  # one for the training, three for both comparisons


def test_timed_jobs_tell_how_far_they_are(tmp_path):
    """Also one that fails on the way; the others tell nothing until they are done."""
    measure = Speed(blocks=2, block_seconds=0.001, warm_up=0, processes=2)
    grids = [grid(b, measure=measure) for b in ("numpy", "tests.faulty:CRASHING")] + [grid("numpy")]
    shares = {}

    def part(job, share):
        shares.setdefault(key(job), []).append(share)

    with (
        Store.create(tmp_path, {"study": None}) as store,
        Local(store, Settings(), lambda record: None, part) as local,
    ):
        local.run(select(Study("test", "", grids)).jobs)
    assert list(shares.values()) == [[0.5, 0.5], [0.5, 0.5]]


def test_first_call_is_measured_in_a_new_process_each_time(tmp_path):
    _, _, store = run(tmp_path, grid("numpy"), grid("numpy", measure=FirstCall(processes=2)))
    table = next(r.table for r in store.records() if isinstance(r.job.measure, FirstCall))
    imports = table[table["series"] == "import_seconds"]
    assert list(imports["step"]) == [0, 1]
    assert imports["value"].nunique() == 2  # the same process would report the same import twice


def test_agreement_of_the_reference_with_itself_is_exact_and_a_liar_is_caught(tmp_path):
    from harness.judge import agreement

    grids = [grid(b, measure=Agreement()) for b in ("reference", "tests.faulty:LYING", "numpy")]
    grids.append(grid("reference", measure=Agreement(ulp=True)))
    _, _, store = run(tmp_path, *grids)
    verdicts = {(v.job.cell.backend, v.what): v for v in agreement.judge(store.records())}
    assert verdicts["numpy", "parameters"].equal
    lie = verdicts["tests.faulty:LYING", "parameters"]
    assert not lie.equal
    assert lie.distance > 1e-6
    assert verdicts["tests.faulty:LYING", "gradients"].distance == 0


def test_threads_are_set_and_recorded(tmp_path):
    jobs, _, store = run(tmp_path, grid("numpy"))
    assert jobs[0].environment.threads == 1
    assert store.read(key(jobs[0])).facts["threads"] == "1"


@pytest.mark.parametrize("backend", ["numpy"])
def test_the_plan_is_recorded(tmp_path, backend):
    jobs, _, store = run(tmp_path, grid(backend))
    assert store.read(key(jobs[0])).plan["optimizer"].how == "native"
