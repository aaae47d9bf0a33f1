"""How many attempts fit on a cluster whose nodes come and go."""

from typing import Any

import pytest

from sweep.engine.ray_cluster import CLUSTER_READ_S, ClusterPlan, ClusterSlots, count_slots


def node(cpus: float = 0, gpus: float = 0, *, alive: bool = True) -> dict[str, Any]:
    """A node as Ray lists it: what it has none of is not mentioned."""
    return {"Alive": alive, "Resources": {k: v for k, v in (("CPU", cpus), ("GPU", gpus)) if v}}


@pytest.mark.parametrize(
    ("nodes", "plan", "slots"),
    [
        ([node(8, 1)], ClusterPlan(0, 1, 0.25), 4),
        ([node(2, 1)], ClusterPlan(0, 1, 0.25), 2),
        ([node(), node(4), node(2)], ClusterPlan(0, 1, 0.0), 6),
        ([node(4), node(2, alive=False)], ClusterPlan(0, 1, 0.0), 4),
        ([node(3), node(3)], ClusterPlan(0, 2, 0.0), 2),  # the third pair of CPUs is on two nodes
        ([node(8, 0.5), node(8, 0.5)], ClusterPlan(0, 1, 1.0), 0),  # as is the GPU
        ([node(16), node(2, 2)], ClusterPlan(0, 1, 1.0), 2),  # CPUs are where no GPU is
    ],
)
def test_an_attempt_must_fit_on_one_node(nodes: list[Any], plan: ClusterPlan, slots: int) -> None:
    assert count_slots(nodes, plan) == slots


def test_slots_follow_the_cluster_and_are_read_now_and_then() -> None:
    clock, cluster, reads = [100.0], [node(2)], []

    def nodes() -> list[Any]:
        reads.append(clock[0])
        return cluster

    slots = ClusterSlots(ClusterPlan(2, 1, 0.0), nodes, lambda: clock[0])
    cluster.append(node(3))
    slots.refresh()
    assert slots.current() == 2
    clock[0] += CLUSTER_READ_S
    slots.refresh()
    slots.refresh()
    assert slots.current() == 5
    cluster[:] = [node(2, alive=False), node(3, alive=False)]
    clock[0] += CLUSTER_READ_S
    slots.refresh()
    assert slots.current() == 1  # an attempt that waits for a node
    assert reads == [100.0 + CLUSTER_READ_S, 100.0 + 2 * CLUSTER_READ_S]
