"""A client of labgrid's coordinator, run by labgrid's own Python; prints JSON. See ``benchmarks/anchors.py``."""

import argparse
import asyncio
import json
import os
import time

import grpc
from labgrid.remote.client import ClientSession
from labgrid.remote.generated import labgrid_coordinator_pb2 as pb

RETRY_S = 0.2
REFUSED = (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNKNOWN)


def main() -> None:
    """One command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["create", "cycles", "job", "state"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--places", type=int, default=2)
    parser.add_argument("--bare", action="store_true", help="cycles of places without a resource")
    options = parser.parse_args()
    commands = {"create": create, "cycles": cycles, "job": job, "state": state}
    print(json.dumps(asyncio.run(commands[options.command](options))), flush=True)


async def connect(options: argparse.Namespace, name: str) -> ClientSession:
    """A session under a user name of its own."""
    os.environ["LG_HOSTNAME"], os.environ["LG_USERNAME"] = "benchmark", name
    session = ClientSession(f"127.0.0.1:{options.port}", asyncio.get_running_loop())
    await session.start()
    return session


async def create(options: argparse.Namespace) -> dict:
    """A place for each exporter, with all that it exports, and as many bare places without a resource."""
    session = await connect(options, "creator")
    for number in range(options.places):
        await session.stub.AddPlace(pb.AddPlaceRequest(name=f"place-{number}"))
        pattern = f"device-{number}/board/*"
        await session.stub.AddPlaceMatch(
            pb.AddPlaceMatchRequest(placename=f"place-{number}", pattern=pattern)
        )
        await session.stub.AddPlace(pb.AddPlaceRequest(name=f"bare-{number}"))
    return {}


async def cycles(options: argparse.Namespace) -> dict:
    """For some seconds: acquire a place and release it. Each client has a place of its own, all one session.

    More sessions would need more processes: the coordinator takes one session from a connection, and gRPC lets
    all clients of a process share one.
    """
    found: list[float] = []
    session = await connect(options, "client")
    started = time.perf_counter()

    async def client(number: int) -> None:
        place = f"bare-{number}" if options.bare else f"place-{number}"
        while time.perf_counter() - started < options.seconds:
            before = time.perf_counter()
            await session.stub.AcquirePlace(pb.AcquirePlaceRequest(placename=place))
            await session.stub.ReleasePlace(pb.ReleasePlaceRequest(placename=place))
            found.append(1000 * (time.perf_counter() - before))

    await asyncio.gather(*(client(number) for number in range(options.clients)))
    return {"cycle_ms": found, "seconds": time.perf_counter() - started}


async def job(options: argparse.Namespace) -> dict:
    """Acquires whatever place can be had, keeps it for some seconds and releases it."""
    begun = time.perf_counter()
    try:
        session = await connect(options, f"user-{os.getpid()}")
        place = await acquire_any(session, options)
        print(f"started {place}", flush=True)
        await asyncio.sleep(options.seconds)
        lost = "" if has_device(session, place) else ", and the device was no longer there"
        await session.stub.ReleasePlace(pb.ReleasePlaceRequest(placename=place))
        outcome = f"kept the place to the end{lost}"
    except Exception as error:  # whatever labgrid raises is the outcome of the experiment
        details = error.details() if isinstance(error, grpc.aio.AioRpcError) else str(error)
        outcome = f"{type(error).__name__}: {details}"
    return {"outcome": outcome, "attempts": 1, "seconds": time.perf_counter() - begun}


async def acquire_any(session: ClientSession, options: argparse.Namespace) -> str:
    """The first place with a device that the coordinator gives."""
    while True:
        for number in range(options.places):
            place = f"place-{number}"
            if not has_device(session, place):
                continue
            try:
                await session.stub.AcquirePlace(pb.AcquirePlaceRequest(placename=place))
            except grpc.aio.AioRpcError as error:
                if error.code() not in REFUSED:
                    raise
            else:
                return place
        await asyncio.sleep(RETRY_S)


def has_device(session: ClientSession, place: str) -> bool:
    """Whether the place's exporter is connected, as far as the coordinator has told this client."""
    exporter = session.resources.get(place.replace("place", "device"), {})
    return any(resource.data for group in exporter.values() for resource in group.values())


async def state(options: argparse.Namespace) -> dict:
    """Who has acquired what, and which resources are there."""
    session = await connect(options, "observer")
    return {
        "acquired": {name: place.acquired for name, place in session.places.items()},
        "exporters": sorted(name for name, groups in session.resources.items() if any(groups.values())),
    }


if __name__ == "__main__":
    main()
