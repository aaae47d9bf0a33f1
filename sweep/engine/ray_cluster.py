"""Ray itself: starting it on this machine or joining a cluster, and what each attempt gets of it."""

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeGuard

import ray
from ray._private import services
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import device_farm
import sweep
from sweep.engine.ray_watch import RayWatch, local_servers
from sweep.engine.settings import Compute

OBJECT_STORE_BYTES = 256 * 2**20
START_TRIES = 2
CLUSTER_READ_S = 3.0
NODES_TIMEOUT_S = 60.0
DEFAULT_CPUS_PER_TRIAL = 1
"""Small networks train nearly as fast on one thread as on two, so attempts side by side use the cores better."""

WORKER_SETTINGS = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "GOMP_SPINCOUNT": "20000",  # threads that spin for long while they wait starve whatever else runs
}
"""What Ray's workers inherit of a Ray started here, and are given on a cluster that was joined."""


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
    cpus_each = compute.cpus_per_trial or DEFAULT_CPUS_PER_TRIAL
    slots = _fitting(cpus, gpus, cpus_each, gpus_each)
    if slots == 0:
        raise AttemptTooLarge(
            f"one attempt asks for {cpus_each} CPUs and {gpus_each:g} GPUs; Ray has {cpus:g} CPUs and {gpus:g} "
            "GPUs: lower --cpus-per-trial or --gpus-per-trial"
        )
    return ClusterPlan(slots, cpus_each, gpus_each)


def _fitting(cpus: float, gpus: float, cpus_each: int, gpus_each: float) -> int:
    by_cpu = int(cpus // cpus_each)
    return by_cpu if gpus_each <= 0 else min(by_cpu, int(gpus / gpus_each + 1e-9))


def count_slots(nodes: Iterable[Mapping[str, Any]], plan: ClusterPlan) -> int:
    """How many attempts fit on ``nodes`` (as `ray.nodes` lists them) at once; none spans two nodes."""
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    return sum(_fitting(has.get("CPU", 0.0), has.get("GPU", 0.0), plan.cpus, plan.gpus) for has in alive)


class ClusterSlots:
    """How many attempts fit on the cluster as it is now; nodes come and go while a sweep runs.

    `refresh` asks Ray, at most every few seconds, and may wait for it: call it without holding a lock.
    `current` only looks at the last answer. It is never below one: with no node left, the next attempt waits in
    Ray for a node to join, instead of the sweep ending for want of slots.
    """

    def __init__(
        self,
        plan: ClusterPlan,
        nodes: Callable[[], Iterable[Mapping[str, Any]]] = ray.nodes,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plan = plan
        self._nodes = nodes
        self._now = now
        self._slots = plan.slots
        self._read = now()

    def refresh(self) -> None:
        """Read the cluster's nodes, unless that was done a moment ago."""
        if self._now() - self._read >= CLUSTER_READ_S:
            self._slots = count_slots(self._nodes(), self._plan)
            self._read = self._now()

    def current(self) -> int:
        """Attempts that may run at once, at least one."""
        return max(1, self._slots)


def quiet_environment() -> None:
    """No usage statistics, no surprise output, and none of Ray Tune's own experiment files or handlers."""
    os.environ.update(
        WORKER_SETTINGS,
        RAY_USAGE_STATS_ENABLED="0",
        RAY_DEDUP_LOGS="0",
        RAY_AIR_NEW_OUTPUT="0",
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
        RayUnavailable: no cluster there, or one whose nodes cannot run this package.
        AttemptTooLarge: too small a one.
    """
    quiet_environment()
    for tries_left in reversed(range(START_TRIES)):
        try:
            _init(compute)
            break
        except Exception as error:  # Ray raises plain exceptions when a busy machine starts it too slowly
            ray.shutdown()
            if is_elsewhere(compute.ray_address):
                raise RayUnavailable(f"Ray at {compute.ray_address} cannot be joined: {error}") from error
            if not tries_left:
                raise RayUnavailable(f"Ray on this machine does not start: {error}") from error
    nodes = ray.nodes()
    has = [node["Resources"] for node in nodes if node["Alive"]]
    cpus, gpus = (sum(resources.get(kind, 0.0) for resources in has) for kind in ("CPU", "GPU"))
    plan = plan_cluster(cpus, gpus, compute)
    slots = count_slots(nodes, plan)
    if slots == 0:
        raise AttemptTooLarge(
            f"one attempt asks for {plan.cpus} CPUs and {plan.gpus:g} GPUs; no single node of Ray has them: "
            "lower --cpus-per-trial or --gpus-per-trial"
        )
    if is_elsewhere(compute.ray_address) and not compute.ship_code:
        check_nodes(nodes)
    return replace(plan, slots=slots)


def is_elsewhere(address: str | None) -> TypeGuard[str]:
    """True if ``address`` names a cluster to join; without one, or by "local", Ray is started here."""
    return address not in (None, "local")


def _init(compute: Compute) -> None:
    address = compute.ray_address
    if is_elsewhere(address) and address.startswith("ray://"):
        raise ValueError(
            "a sweep's driver must run on a node of the cluster: run `ray start --address=HOST:6379 --num-cpus=0` "
            "on this machine and give --ray-address HOST:6379"
        )
    if is_elsewhere(address):
        ray.init(
            address=address,
            runtime_env=runtime_environment(compute),
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
        return
    os.environ.update(_own_code(compute, os.environ.get("PYTHONPATH")))  # which Ray's workers inherit
    with _servers_in_groups_of_their_own():
        ray.init(
            address="local",  # whatever RAY_ADDRESS says
            num_cpus=usable_cores(),
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )


def runtime_environment(compute: Compute) -> dict[str, Any]:
    """What the workers of a joined cluster get: the settings that matter in them and, if asked for, the code.

    One's own packages are looked for where they are on this machine, unless they are sent.
    """
    if not compute.ship_code:
        return {"env_vars": {**WORKER_SETTINGS, **_own_code(compute)}}
    ours = [str(Path(package.__path__[0])) for package in (sweep, device_farm)]
    return {
        "env_vars": WORKER_SETTINGS,
        "py_modules": [*ours, *compute.own_packages],
        "excludes": ["**/__pycache__/"],
    }


def _own_code(compute: Compute, before: str | None = None) -> dict[str, str]:
    """The variable by which Python finds one's own packages; nothing if there are none."""
    folders = dict.fromkeys(str(Path(package).parent) for package in compute.own_packages)
    return {"PYTHONPATH": os.pathsep.join([*folders, *filter(None, [before])])} if folders else {}


@contextmanager
def _servers_in_groups_of_their_own() -> Iterator[None]:
    """Ctrl-C and SIGTERM to this process's group leave Ray's servers alone while the sweep ends in order.

    They still end with this process, however it ends: Ray asks the kernel for that. Ray has no option for process
    groups; it starts every server through this one class.
    """
    original = services.ConsolePopen
    services.ConsolePopen = partial(original, process_group=0)
    try:
        yield
    finally:
        services.ConsolePopen = original


def package_version() -> str:
    """The version of this package where this is called."""
    return version("depth-sweep")


def check_nodes(nodes: Iterable[Mapping[str, Any]]) -> None:
    """Have every node that may train import this package.

    Raises:
        RayUnavailable: a node has no such package, or another version of it.
    """
    here = package_version()
    asked = {
        f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})": ray.remote(package_version)
        .options(num_cpus=0, max_retries=0, scheduling_strategy=on_node(node["NodeID"]))
        .remote()
        for node in nodes
        if node["Alive"] and node["Resources"].get("CPU", 0.0) > 0
    }
    for name, answer in asked.items():
        try:
            there = ray.get(answer, timeout=NODES_TIMEOUT_S)
        except ray.exceptions.RayError as error:
            raise RayUnavailable(
                f"node {name} cannot run this package; install it there, or ship it with --ship-code: "
                f"{str(error).strip().splitlines()[-1]}"
            ) from error
        if there != here:
            raise RayUnavailable(
                f"node {name} has depth-sweep {there}, this machine {here}: install the same version, or ship "
                "this one with --ship-code"
            )


def on_node(node_id: str) -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(node_id, soft=False)


def on_this_node() -> NodeAffinitySchedulingStrategy:
    return on_node(ray.get_runtime_context().get_node_id())


def watch_ray(address: str | None, on_ray_gone: Callable[[str], None]) -> RayWatch:
    """A watch over the Ray that `start_ray` started or joined at ``address``; call its ``start``."""
    if not is_elsewhere(address):
        return RayWatch(on_ray_gone, processes=local_servers())
    context = ray.get_runtime_context()
    host, _, port = context.gcs_address.rpartition(":")
    here = next(node for node in ray.nodes() if node["NodeID"] == context.get_node_id())
    places = {
        "Ray's head": (host.strip("[]"), int(port)),
        "this machine's Ray node": (here["NodeManagerAddress"], int(here["NodeManagerPort"])),
    }
    return RayWatch(on_ray_gone, places=places)


def stop_ray() -> None:
    """Leave the cluster, or end the one that was started here."""
    ray.shutdown()


def usable_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))
