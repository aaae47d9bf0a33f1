"""How a machine or cluster is shared out among attempts."""

import pytest

from sweep.engine.ray_runtime import AttemptTooLarge, ClusterPlan, plan_cluster
from sweep.engine.settings import Compute


@pytest.mark.parametrize(
    ("cpus", "gpus", "compute", "plan"),
    [
        (2, 0, Compute(), ClusterPlan(2, 1, 0.0)),
        (1, 0, Compute(), ClusterPlan(1, 1, 0.0)),
        (8, 0, Compute(cpus_per_trial=3), ClusterPlan(2, 3, 0.0)),
        (8, 2, Compute(), ClusterPlan(2, 1, 1.0)),
        (16, 2, Compute(gpus_per_trial=0.25), ClusterPlan(8, 1, 0.25)),
        (4, 2, Compute(gpus_per_trial=0.25), ClusterPlan(4, 1, 0.25)),  # too few CPUs for eight
        (16, 1, Compute(gpus_per_trial=0.1), ClusterPlan(10, 1, 0.1)),  # ten tenths, in binary too
        (4, 1, Compute(gpus_per_trial=0), ClusterPlan(4, 1, 0)),  # a GPU is there but not wanted
    ],
)
def test_attempts_fill_what_is_there(cpus: float, gpus: float, compute: Compute, plan: ClusterPlan) -> None:
    assert plan_cluster(cpus, gpus, compute) == plan


@pytest.mark.parametrize(
    ("cpus", "gpus", "compute", "asked"),
    [
        (2, 0, Compute(cpus_per_trial=99), "99 CPUs and 0 GPUs; Ray has 2 CPUs and 0 GPUs"),
        (2, 0, Compute(gpus_per_trial=1), "1 CPUs and 1 GPUs; Ray has 2 CPUs and 0 GPUs"),
        (2, 1, Compute(gpus_per_trial=1.5), "1 CPUs and 1.5 GPUs; Ray has 2 CPUs and 1 GPUs"),
        (0, 0, Compute(), "1 CPUs and 0 GPUs; Ray has 0 CPUs and 0 GPUs"),
    ],
)
def test_an_attempt_that_does_not_fit_is_refused(
    cpus: float, gpus: float, compute: Compute, asked: str
) -> None:
    with pytest.raises(AttemptTooLarge) as caught:
        plan_cluster(cpus, gpus, compute)
    assert str(caught.value) == f"one attempt asks for {asked}: lower --cpus-per-trial or --gpus-per-trial"
