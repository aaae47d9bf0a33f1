"""What runs on Ray: attempts by Ray Tune, and the tasks of admission and finishing.

Attempts share out Ray's CPUs. The tasks of admission and finishing (one thread each, as many at once as the host
has cores) claim none: Ray Tune keeps CPUs for trainers that it may reuse, and does not let go of them while it
waits for the next attempt, which may itself be waiting for such a task.
"""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Literal

import ray
from ray import tune

from sweep.data import Dataset
from sweep.engine import tasks
from sweep.engine.attempts import AttemptTrainable
from sweep.engine.exports import ExportedFile
from sweep.engine.files import SweepFiles
from sweep.engine.ray_cluster import (
    AttemptTooLarge,
    ClusterPlan,
    ClusterSlots,
    RayUnavailable,
    is_elsewhere,
    on_this_node,
    plan_cluster,
    start_ray,
    stop_ray,
    usable_cores,
    watch_ray,
)
from sweep.engine.searcher import AttemptSearcher
from sweep.engine.settings import Workplace
from sweep.engine.shipping import Home, open_station
from sweep.judging.judge import chunk_ranges

__all__ = [
    "AttemptTooLarge",
    "ClusterPlan",
    "ClusterSlots",
    "RayTasks",
    "RayUnavailable",
    "plan_cluster",
    "run_attempts",
    "start_ray",
    "station_for",
    "stop_ray",
    "usable_cores",
    "watch_ray",
]

JUDGE_CHUNKS = 2
TASK_RETRIES = 3
"""Workers that may die under a task of admission or finishing before its trial has failed."""
BASELINES_TIMEOUT_S = 60.0


def station_for(
    address: str | None, files: SweepFiles, dataset: Dataset
) -> AbstractContextManager[Home | None]:
    """On a joined cluster, ships files to trainers that do not see the sweep's folder; else None is enough."""
    return open_station(files, dataset, on_this_node()) if is_elsewhere(address) else nullcontext()


def run_attempts(searcher: AttemptSearcher, plan: ClusterPlan, directory: Path) -> float:
    """Let Ray Tune run what ``searcher`` hands out, until it says that it has finished.

    Returns:
        Processor time of Ray Tune's loop in seconds, without what it spent in the driver.
    """
    started = time.thread_time()
    trainable = tune.with_resources(AttemptTrainable, {"cpu": plan.cpus, "gpu": plan.gpus})
    tune.run(
        trainable,
        name="attempts",
        search_alg=searcher,
        scheduler=searcher.scheduler,
        num_samples=-1,
        storage_path=str(directory.resolve()),
        reuse_actors=True,
        raise_on_failed_trial=False,
        checkpoint_config=None,
        max_failures=0,
        verbose=0,
    )
    return time.thread_time() - started - searcher.driver_cpu_s


class RayTasks:
    """The steps of a trial as Ray tasks on the driver's own host, where the farm's client and the files are."""

    def __init__(self, workplace: Workplace, frames: int, test_frames: int = 0) -> None:
        self._options = {
            "num_cpus": 0,
            "scheduling_strategy": on_this_node(),
            "max_retries": TASK_RETRIES,
        }
        self._cores = threading.BoundedSemaphore(usable_cores())
        self._workplace = workplace
        self._dataset = str(workplace.dataset_path)
        self._quiet = str(workplace.quiet_directory) if workplace.quiet_directory else None
        self._splits = {
            "validation": (self._dataset, frames),
            "test": (str(workplace.test_path), test_frames),
        }

    def export(
        self, candidate: Mapping[str, Any], directory: Path, checkpoint: Path | None
    ) -> list[ExportedFile]:
        """See `sweep.engine.tasks.export_candidate`."""
        exported: list[ExportedFile] = self._run(
            tasks.export_candidate,
            dict(candidate),
            self._dataset,
            str(directory),
            str(checkpoint) if checkpoint else None,
            self._workplace.seed,
            self._quiet,
            self._workplace.exports,
            self._workplace.runtime,
        )
        return exported

    def judge(self, tflite: Path, split: Literal["validation", "test"]) -> list[Any]:
        """See `sweep.engine.tasks.judge_frames`; the frames are shared out over a few tasks."""
        path, frames = self._splits[split]

        def chunk(bounds: tuple[int, int]) -> Any:
            return self._run(tasks.judge_frames, str(tflite), path, *bounds, split, self._quiet)

        with ThreadPoolExecutor(JUDGE_CHUNKS) as pool:
            return list(pool.map(chunk, chunk_ranges(frames, JUDGE_CHUNKS)))

    def check_reference(self, tflite: Path) -> dict[str, float]:
        """See `sweep.engine.tasks.check_reference`."""
        return dict(self._run(tasks.check_reference, str(tflite), self._dataset, self._quiet))

    def draw_picture(self, tflite: Path, path: Path) -> None:
        """See `sweep.engine.tasks.draw_picture`."""
        self._run(tasks.draw_picture, str(tflite), self._dataset, str(path), self._quiet)

    def judge_teacher(self, candidate: Mapping[str, Any], checkpoint: Path) -> float:
        """See `sweep.engine.tasks.judge_teacher`."""
        judged = self._run(tasks.judge_teacher, dict(candidate), str(checkpoint), self._dataset, self._quiet)
        return float(judged)

    def start_baselines(self) -> Callable[[], Any]:
        """Begin `sweep.engine.tasks.find_baselines`; call the result for the figures, or None if too slow."""
        pending = self._remote(tasks.find_baselines).remote(self._dataset, self._quiet)

        def collect() -> Any:
            try:
                return ray.get(pending, timeout=BASELINES_TIMEOUT_S)
            except ray.exceptions.RayError:
                return None

        return collect

    def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The task's result; waits for a free core of the host first."""
        with self._cores:
            return ray.get(self._remote(function).remote(*arguments))

    def _remote(self, function: Any) -> Any:
        return ray.remote(function).options(**self._options)
