"""A client of TVM's RPC tracker, run by TVM's own Python; prints JSON. See ``benchmarks/anchors.py``."""

import argparse
import json
import os
import threading
import time

from tvm import rpc

KEY = "device"
SESSION_TIMEOUT_S = 30


def main() -> None:
    """One command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["cycles", "job", "summary"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--bytes", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--clients", type=int, default=1)
    options = parser.parse_args()
    commands = {"cycles": cycles, "job": job, "summary": summary}
    print(json.dumps(commands[options.command](options)), flush=True)


def cycles(options: argparse.Namespace) -> dict:
    """For some seconds: request a device, send a file if asked to, release. Milliseconds of each cycle."""
    data = bytearray(os.urandom(options.bytes))
    found: list[float] = []
    started = time.perf_counter()

    def client() -> None:
        tracker = rpc.connect_tracker("127.0.0.1", options.port)
        while time.perf_counter() - started < options.seconds:
            before = time.perf_counter()
            session = tracker.request(KEY, session_timeout=SESSION_TIMEOUT_S)
            if data:
                session.upload(data, "model.tflite")
            del session
            found.append(1000 * (time.perf_counter() - before))

    threads = [threading.Thread(target=client) for _ in range(options.clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"cycle_ms": found, "seconds": time.perf_counter() - started}


def job(options: argparse.Namespace) -> dict:
    """Keeps a device busy for some seconds, in the way that TVM offers against lost devices."""
    begun = time.perf_counter()
    attempts = 0

    def work(session: rpc.RPCSession) -> None:
        nonlocal attempts
        attempts += 1
        print(f"started {attempts}", flush=True)
        until = time.perf_counter() + options.seconds
        while time.perf_counter() < until:
            session.upload(bytearray(100_000), "model.tflite")
            time.sleep(0.05)  # a session that is in use, as long as the job is to take

    outcome = "done"
    try:
        tracker = rpc.connect_tracker("127.0.0.1", options.port)
        tracker.request_and_run(KEY, work, session_timeout=SESSION_TIMEOUT_S)
    except Exception as error:  # whatever TVM raises is the outcome of the experiment
        outcome = f"{type(error).__name__}: {str(error).strip().splitlines()[-1]}"
    return {"outcome": outcome, "attempts": attempts, "seconds": time.perf_counter() - begun}


def summary(options: argparse.Namespace) -> dict:
    """What the tracker says of its devices."""
    return dict(rpc.connect_tracker("127.0.0.1", options.port).summary())


if __name__ == "__main__":
    main()
