"""A quarter of a GPU for each attempt, on a real Ray whose GPU is only a number."""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import json, logging, os, ray
from sweep.engine import ray_cluster
from sweep.engine.settings import Compute

ray_cluster.quiet_environment()
ray.init(address="local", num_cpus=6, num_gpus=1, include_dashboard=False, log_to_driver=False,
         object_store_memory=80000000, logging_level=logging.ERROR)
plan = ray_cluster.plan_cluster(6, 1, Compute(gpus_per_trial=0.25))

class Attempt:
    def sees(self):
        return os.environ.get("CUDA_VISIBLE_DEVICES")

kind = ray.remote(Attempt).options(num_cpus=plan.cpus, num_gpus=plan.gpus)
running = [kind.remote() for _ in range(plan.slots)]
seen = ray.get([attempt.sees.remote() for attempt in running])
free = ray.available_resources().get("GPU", 0.0)
print(json.dumps({"slots": ray_cluster.count_slots(ray.nodes(), plan), "seen": seen, "free": free}))
"""


@pytest.mark.long
def test_four_attempts_share_one_gpu_and_see_no_other() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "7"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"slots": 4, "seen": ["7"] * 4, "free": 0.0}
