"""Ray: starting or joining it, what each attempt gets of it, and the tasks that run on it.

Attempts share out Ray's CPUs. The tasks of admission and finishing (one thread each, as many at once as the host
has cores) claim none: Ray Tune keeps CPUs for trainers that it may reuse, and does not let go of them while it
waits for the next attempt, which may itself be waiting for such a task.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sweep.engine import tasks
from sweep.engine.attempts import AttemptTrainable
from sweep.engine.searcher import AttemptSearcher
from sweep.engine.settings import Compute, Workplace
from sweep.judging.judge import chunk_ranges

OBJECT_STORE_BYTES = 256 * 2**20
JUDGE_CHUNKS = 2
START_TRIES = 2
BASELINES_TIMEOUT_S = 60.0
DEFAULT_CPUS_PER_TRIAL = 1
"""Small networks train nearly as fast on one thread as on two, so attempts side by side use the cores better."""


class RayUnavailable(Exception):
    """Ray cannot be started or joined."""


class AttemptTooLarge(ValueError):
    """One attempt asks for more than all of Ray has."""


@dataclass(frozen=True)
class ClusterPlan:
    """How the cluster is shared out: ``slots`` attempts at once, each with ``cpus`` and ``gpus``."""

    slots: int
    cpus: int
    gpus: float


def plan_cluster(cpus: float, gpus: float, compute: Compute) -> ClusterPlan:
    """Share out ``cpus`` and ``gpus``.

    Raises:
        AttemptTooLarge: not even one attempt fits.
    """
    gpus_each = compute.gpus_per_trial if compute.gpus_per_trial is not None else float(gpus > 0)
    by_gpu = int(gpus / gpus_each + 1e-9) if gpus_each > 0 else None
    cpus_each = compute.cpus_per_trial or DEFAULT_CPUS_PER_TRIAL
    if cpus_each > cpus or by_gpu == 0:
        raise AttemptTooLarge(
            f"one attempt asks for {cpus_each} CPUs and {gpus_each:g} GPUs; Ray has {cpus:g} CPUs and {gpus:g} "
            "GPUs: lower --cpus-per-trial or --gpus-per-trial"
        )
    by_cpu = int(cpus // cpus_each)
    return ClusterPlan(by_cpu if by_gpu is None else min(by_cpu, by_gpu), cpus_each, gpus_each)


def quiet_environment() -> None:
    """No usage statistics, no surprise output, and none of Ray Tune's own experiment files or handlers."""
    os.environ.update(
        RAY_USAGE_STATS_ENABLED="0",
        RAY_DEDUP_LOGS="0",
        RAY_CHDIR_TO_TRIAL_DIR="0",
        RAY_AIR_NEW_OUTPUT="0",
        RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0",
        GOMP_SPINCOUNT="20000",  # threads that spin for long while they wait starve whatever else runs
        TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1",
        TUNE_DISABLE_SIGINT_HANDLER="1",
        TUNE_DISABLE_STRICT_METRIC_CHECKING="1",  # an attempt's failure is a result without metrics
        TUNE_MAX_PENDING_TRIALS_PG="1",
        TUNE_WARN_SLOW_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S="3600",
    )
    for name in ("ray", "ray.tune", "ray.data", "ray.train"):
        logging.getLogger(name).setLevel(logging.ERROR)


def start_ray(compute: Compute) -> ClusterPlan:
    """Start Ray on this machine, or join the cluster at ``compute.ray_address``.

    Call it before threads are started and before gRPC is used: Ray forks its servers, and a fork of a process
    that does either can die before it becomes the server.

    Raises:
        RayUnavailable: no cluster there.
        AttemptTooLarge: too small a one.
    """
    quiet_environment()
    for tries_left in reversed(range(START_TRIES)):
        try:
            _init(compute.ray_address)
            break
        except Exception as error:  # Ray raises plain exceptions when a busy machine starts it too slowly
            ray.shutdown()
            if not tries_left:
                where = f"at {compute.ray_address}" if compute.ray_address else "on this machine"
                raise RayUnavailable(f"Ray {where} does not start: {error}") from error
    resources = ray.cluster_resources()
    return plan_cluster(resources.get("CPU", 0.0), resources.get("GPU", 0.0), compute)


def _init(address: str | None) -> None:
    if address:
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
    else:
        ray.init(
            address="local",  # whatever RAY_ADDRESS says
            num_cpus=usable_cores(),
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )


def stop_ray() -> None:
    """Leave the cluster, or end the one that was started here."""
    ray.shutdown()


def usable_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


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

    def __init__(self, workplace: Workplace, frames: int) -> None:
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self._options = {"num_cpus": 0, "scheduling_strategy": here, "max_retries": 1}
        self._cores = threading.BoundedSemaphore(usable_cores())
        self._workplace = workplace
        self._dataset = str(workplace.dataset_path)
        self._quiet = str(workplace.quiet_directory) if workplace.quiet_directory else None
        self._frames = frames

    def export(
        self, candidate: Mapping[str, Any], directory: Path, checkpoint: Path | None
    ) -> dict[str, Any]:
        """See `sweep.engine.tasks.export_candidate`."""
        exported: dict[str, Any] = self._run(
            tasks.export_candidate,
            dict(candidate),
            self._dataset,
            str(directory),
            str(checkpoint) if checkpoint else None,
            self._workplace.seed,
            self._quiet,
        )
        return exported

    def judge(self, tflite: Path) -> list[Any]:
        """See `sweep.engine.tasks.judge_frames`; the frames are shared out over a few tasks."""

        def chunk(bounds: tuple[int, int]) -> Any:
            return self._run(tasks.judge_frames, str(tflite), self._dataset, *bounds, self._quiet)

        with ThreadPoolExecutor(JUDGE_CHUNKS) as pool:
            return list(pool.map(chunk, chunk_ranges(self._frames, JUDGE_CHUNKS)))

    def check_reference(self, tflite: Path) -> float:
        """See `sweep.engine.tasks.check_reference`."""
        return float(self._run(tasks.check_reference, str(tflite), self._dataset, self._quiet))

    def draw_picture(self, tflite: Path, path: Path) -> None:
        """See `sweep.engine.tasks.draw_picture`."""
        self._run(tasks.draw_picture, str(tflite), self._dataset, str(path), self._quiet)

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
