"""A client of our own farm, the same experiments as its neighbours; prints JSON. See ``benchmarks/anchors.py``."""

import argparse
import hashlib
import json
import random
import sys
import threading
import time
from pathlib import Path

from device_farm.client import FarmClient
from device_farm.credentials import load_credentials
from device_farm.types import FarmError, MeasurementSettings, Target

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tiny_models import TinyModels

SMALLEST = 652  # makes files of 1 KiB
AT_ONCE = MeasurementSettings(sampling_seconds=0.0)


def main() -> None:
    """One command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["cycles", "job", "devices"])
    parser.add_argument("--farm", required=True)
    parser.add_argument("--bytes", type=int, default=SMALLEST)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--credentials", type=Path)
    options = parser.parse_args()
    commands = {"cycles": cycles, "job": job, "devices": devices}
    print(json.dumps(commands[options.command](options)), flush=True)


def connect(options: argparse.Namespace) -> FarmClient:
    credentials = load_credentials(options.credentials) if options.credentials else None
    return FarmClient(options.farm, credentials=credentials, device_wait_seconds=600.0)


def cycles(options: argparse.Namespace) -> dict:
    """For some seconds: measure a file that the farm has not seen. Milliseconds of each cycle."""
    models = TinyModels(max(options.bytes, SMALLEST))
    found: list[float] = []
    started = time.perf_counter()

    def client(farm: FarmClient) -> None:
        while time.perf_counter() - started < options.seconds:
            model = models.numbered(random.randrange(100_000_000))
            before = time.perf_counter()
            farm.measure(model, Target(), AT_ONCE, fresh=True)
            found.append(1000 * (time.perf_counter() - before))

    with connect(options) as farm:
        threads = [threading.Thread(target=client, args=(farm,)) for _ in range(options.clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return {"cycle_ms": found, "seconds": time.perf_counter() - started}


def job(options: argparse.Namespace) -> dict:
    """One job that samples for some seconds, also on a simulated device."""
    begun = time.perf_counter()

    def on_update(text: str) -> None:
        print(f"started: {text}" if text.startswith("running") else text, flush=True)

    settings = MeasurementSettings(
        interval_width=0.0001, max_invocations=100_000, sampling_seconds=options.seconds
    )
    model = TinyModels(max(options.bytes, SMALLEST)).numbered(random.randrange(100_000_000))
    with connect(options) as farm:
        outcome = "done"
        try:
            farm.measure(model, Target(), settings, fresh=True, on_update=on_update)
        except FarmError as error:
            outcome = f"{type(error).__name__}: {error}"
        seconds = time.perf_counter() - begun
        return {"outcome": outcome, "attempts": attempts(farm, model), "seconds": seconds}


def attempts(farm: FarmClient, model: bytes) -> int:
    """How many leases the job for this model had."""
    digest = hashlib.sha256(model).hexdigest()
    job_id = next(record.job_id for record in farm.jobs() if record.model_sha256 == digest)
    return sum(entry.text.startswith("leased to") for entry in farm.job(job_id).story)


def devices(options: argparse.Namespace) -> dict:
    """What the farm tells this client."""
    try:
        with connect(options) as farm:
            return {"devices": len(farm.devices())}
    except FarmError as error:
        return {"refused": str(error)}


if __name__ == "__main__":
    main()
