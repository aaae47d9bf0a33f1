"""Finds out what ``doctor.py`` judges: of this machine, its runtimes, and the farm that it will join."""

import asyncio
import ctypes
import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import grpc

from device_farm.addresses import short_reason
from device_farm.credentials import (
    BadCredentials,
    Credentials,
    check_address,
    explain_connection_failure,
    load_credentials,
    open_channel,
)
from device_farm.measuring.profiles import profile_of
from device_farm.rpc import farm_pb2 as pb
from device_farm.rpc import farm_pb2_grpc as rpc
from device_farm.types import EvidenceValue
from device_farm.worker.doctor import CredentialsFound, FarmFound, Inspection, RuntimeFound
from device_farm.worker.facts import SYSTEM_ROOT, device_class_of, find_facts
from device_farm.worker.reference import reference_path
from device_farm.worker.runtimes import InstalledRuntime, RuntimeProblem, probe_runtime, runtime_family
from device_farm.worker.surroundings import Surroundings, summarise

WATCHED_SECONDS = 1.0
FARM_TIMEOUT_SECONDS = 5.0
NO_MODEL = "0" * 64  # a hash that no file has: a coordinator that lets a worker ask for it says so

_TIME_ERROR = 5  # adjtimex(2): the system clock is not synchronised
_TIMEX_BYTES = 1024  # more than struct timex has on any architecture
_REFUSALS = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)


@dataclass(frozen=True)
class Question:
    """What to look at: further runtimes (name -> Python), the worker's folder, rules, and the farm, if any.

    ``profile`` "" takes the one of this kind of board.
    """

    runtimes: Mapping[str, str]
    state: Path
    profile: str = ""
    farm: str = ""
    credentials: Path | None = None


async def inspect(question: Question, root: Path = SYSTEM_ROOT) -> Inspection:
    """Takes a few seconds: one to watch the machine at rest, the rest to run the reference model twice.

    What the system tells of itself is read below ``root``.

    Raises:
        RuntimeProblem: a runtime has no possible name.
    """
    evidence = await watch(Surroundings(root))
    facts = find_facts(root)
    credentials, held = find_credentials(question.credentials)
    disk_mb, state_problem = find_room(question.state)
    return Inspection(
        python_version=sys.version_info[:3],
        device_class=device_class_of(facts),
        profile=question.profile or profile_of(facts, emulated=False),
        evidence=evidence,
        runtimes=await find_runtimes(question.runtimes),
        memory_mb=available_memory_mb(root),
        state=str(question.state),
        disk_mb=disk_mb,
        state_problem=state_problem,
        clock_synchronised=clock_synchronised(),
        credentials=held,
        farm=_ask_farm_if_possible(question.farm, credentials, held) if question.farm else None,
    )


async def watch(surroundings: Surroundings, seconds: float = WATCHED_SECONDS) -> dict[str, EvidenceValue]:
    """Evidence over a time in which nothing is measured."""
    first = surroundings.snapshot()
    await asyncio.sleep(seconds)
    return summarise([first, surroundings.snapshot()])


async def find_runtimes(named: Mapping[str, str]) -> tuple[RuntimeFound, ...]:
    """This Python's own runtime, which may be missing where others are named, then the ``named`` ones."""
    own = await try_runtime("tflite", sys.executable)
    found = [own] if own.runtime is not None or not named else []
    for name, python in named.items():
        tried = await try_runtime(runtime_family(name), python)
        if tried.runtime is None:
            found.append(tried)
        elif tried.runtime.name != name:
            problem = f"runtime {name}: {python} offers {tried.runtime.name} instead"
            found.append(RuntimeFound(python, problem=problem))
        elif own.runtime is None or own.runtime.name != name:
            found.append(tried)
    return tuple(found)


async def try_runtime(family: str, python: str) -> RuntimeFound:
    """Runs the reference model under a Python's runtime, twice, each time in a new process."""
    try:
        first = await probe_runtime(family, python, reference_path())
        again = await probe_runtime(family, python, reference_path())
    except RuntimeProblem as problem:
        return RuntimeFound(python, problem=str(problem))
    return RuntimeFound(python, first.runtime, references_ms=_medians(first, again))


def _medians(first: InstalledRuntime, again: InstalledRuntime) -> dict[str, tuple[float, float]]:
    return {
        delegate: (median(first.references_ms[delegate]), median(again.references_ms[delegate]))
        for delegate in first.references_ms
        if delegate in again.references_ms
    }


def available_memory_mb(root: Path = SYSTEM_ROOT) -> float | None:
    """What programs may still take, by the kernel's estimate; None where it does not tell."""
    try:
        text = (root / "proc/meminfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    match = re.search(r"^MemAvailable:\s+(\d+) kB", text, re.MULTILINE)
    return int(match[1]) / 1024 if match else None


def find_room(state: Path) -> tuple[float | None, str]:
    """Free MB for a state folder that may not exist yet, and why it cannot be used, else ""."""
    folder = state.absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        return None, f"{folder} is a file, not a folder"
    if not os.access(folder, os.W_OK | os.X_OK):
        return None, f"{folder} cannot be written by this user"
    return shutil.disk_usage(folder).free / 2**20, ""


def clock_synchronised() -> bool | None:
    """Whether something keeps the clock right, by the kernel's word (adjtimex, which needs no privilege to ask).

    chrony tells the kernel only with ``rtcsync``, as Debian and Raspberry Pi OS configure it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    answer = libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return None if answer < 0 else bool(answer != _TIME_ERROR)


def find_credentials(path: Path | None) -> tuple[Credentials | None, CredentialsFound | None]:
    """The credentials in the file, if they can be used, and what to say of it."""
    if path is None:
        return None, None
    try:
        credentials = load_credentials(path)
    except BadCredentials as problem:
        return None, CredentialsFound(str(path), problem=str(problem))
    return credentials, CredentialsFound(str(path), role=credentials.role)


def _ask_farm_if_possible(
    address: str, credentials: Credentials | None, held: CredentialsFound | None
) -> FarmFound:
    if held is not None and credentials is None:
        return FarmFound(address, problem="not asked, because the credentials cannot be used", refused=True)
    return ask_farm(address, credentials)


def ask_farm(
    address: str, credentials: Credentials | None, timeout_seconds: float = FARM_TIMEOUT_SECONDS
) -> FarmFound:
    """Asks the coordinator for a model that does not exist, as only a worker may."""
    try:
        check_address(address, credentials)
    except ValueError as error:
        return FarmFound(address, problem=str(error), refused=True)
    with open_channel(address, credentials) as channel:
        stub: Any = rpc.FleetStub(channel)
        request = pb.DownloadModelRequest(sha256=NO_MODEL)
        try:
            for _ in stub.DownloadModel(request, timeout=timeout_seconds):
                break
        except grpc.RpcError as error:
            return _answer(address, error, credentials, timeout_seconds)
    return FarmFound(address, problem=f"{address} sent a model that does not exist: is it a coordinator?")


def _answer(address: str, error: Any, credentials: Credentials | None, timeout_seconds: float) -> FarmFound:
    match error.code():
        case grpc.StatusCode.NOT_FOUND:
            return FarmFound(address)
        case code if code in _REFUSALS:
            return FarmFound(address, problem=str(error.details()), refused=True)
        case grpc.StatusCode.UNAVAILABLE:
            reason = explain_connection_failure(error.details(), address, credentials)
            return FarmFound(address, problem=f"no farm answers at {address}: {reason}")
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return FarmFound(address, problem=f"{address} did not answer within {timeout_seconds:g} s")
        case _:
            return FarmFound(address, problem=f"{address} is no coordinator: {short_reason(error.details())}")
