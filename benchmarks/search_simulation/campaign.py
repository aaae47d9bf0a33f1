"""Many runs on several processes, kept as JSON lines so that a campaign can be continued."""

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from .configurations import all_methods
from .methods import Rejections, default_budget_s
from .problems import make_problem
from .statistics import Curve

ONE_THREAD: Final = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Task:
    """One run to do: a method on a problem."""

    landscape: str
    noise: str
    seed: int
    method: str


@dataclass(frozen=True)
class Result:
    """A run done. ``curve`` is in shares of the budget and of the optimum; ``cpu_s`` is processor time."""

    task: Task
    curve: Curve
    proposed: int
    trained: int
    full: int
    granted: float
    elapsed_s: float
    rejections: Rejections
    cpu_s: float


def run_task(task: Task) -> Result:
    """Do one run."""
    started = time.process_time()
    problem = make_problem(task.landscape, task.noise, task.seed)
    budget_s = default_budget_s()
    run = all_methods()[task.method](problem, budget_s)
    return Result(
        task=task,
        curve=Curve(tuple((p.spent_s / budget_s, p.true_score / problem.optimum) for p in run.curve)),
        proposed=run.proposed,
        trained=run.trained,
        full=run.full,
        granted=run.granted_s / budget_s,
        elapsed_s=run.elapsed_s,
        rejections=run.rejections,
        cpu_s=time.process_time() - started,
    )


def run_all(tasks: Sequence[Task], jobs: int, out: Path | None) -> Iterator[Result]:
    """Every task's result, those that ``out`` already holds first; new ones are added to it as they come."""
    known = {result.task: result for result in _reopen(out)} if out and out.exists() else {}
    yield from (known[task] for task in tasks if task in known)
    missing = [task for task in tasks if task not in known]
    for result in _compute(missing, jobs):
        if out:
            with out.open("a") as file:
                file.write(json.dumps(_to_json(result)) + "\n")
        yield result


def _compute(tasks: Sequence[Task], jobs: int) -> Iterator[Result]:
    if not tasks:
        return
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))  # read by the libraries when a child imports them
    with get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(run_task, tasks)


def _reopen(path: Path) -> list[Result]:
    """The results that a file holds; a last line that was cut short is cut off."""
    text = path.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if whole != text:
        path.write_bytes(whole)
    return [_from_json(json.loads(line)) for line in whole.splitlines()]


def _to_json(result: Result) -> dict[str, Any]:
    return {
        **vars(result),
        "task": vars(result.task),
        "curve": [[round(share, 6), round(worth, 6)] for share, worth in result.curve.steps],
        "rejections": vars(result.rejections),
    }


def _from_json(plain: dict[str, Any]) -> Result:
    return Result(
        **{
            **plain,
            "task": Task(**plain["task"]),
            "curve": Curve(tuple((share, worth) for share, worth in plain["curve"])),
            "rejections": Rejections(**plain["rejections"]),
        }
    )
