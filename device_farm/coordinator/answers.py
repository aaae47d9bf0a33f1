"""When an earlier measurement answers a job: the same file, kind of place and settings, whoever asked."""

import hashlib
import json
from dataclasses import asdict

from device_farm.coordinator.matchmaking import Place
from device_farm.jobs import Job
from device_farm.types import Measurement


def answer_key(job: Job, place: Place) -> bytes:
    """What a measurement must share with the job to answer it: file, place, threads, delegate, settings."""
    question = [
        job.model_sha256,
        asdict(place),
        job.target.threads,
        job.target.delegate,
        {name: float(value) for name, value in asdict(job.settings).items()},  # 30 s are 30.0 s
    ]
    return hashlib.sha256(json.dumps(question, sort_keys=True).encode()).digest()


def key_of_answer(job: Job, measurement: Measurement) -> bytes | None:
    """The key under which a job's measurement answers others; None if it should not.

    An unstable measurement is worth another try, and one with operator times took longer paths.
    """
    if measurement.cached or not measurement.stable or job.profile_operators:
        return None
    place = Place(
        measurement.device_class,
        measurement.emulated,
        measurement.profile,
        measurement.runtime,
        measurement.runtime_version,
    )
    return answer_key(job, place)
