"""Checks of the environment, for ``sweep doctor``: what was found, whether it is good, and what to do if not."""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement

Verdict = Literal["good", "note", "bad"]

FREE_DISK_GB = 5.0
FREE_MEMORY_GB = 3.0


@dataclass(frozen=True)
class Finding:
    """One check's result; ``advice`` says what to do and is empty when all is good."""

    subject: str
    verdict: Verdict
    found: str
    advice: str = ""


def examine(runs: Path, farm: str | None) -> Iterator[Finding]:
    """Run all checks, each as its own finding.

    Args:
        runs: the folder that sweeps are kept in; it need not exist yet.
        farm: address of a coordinator to talk to, or None for no check of it.
    """
    yield _python()
    yield from _packages()
    yield from _numpy_and_interpreter()
    yield _cores()
    yield _memory()
    yield _gpu()
    yield _disk(runs)
    yield _shared_memory()
    yield _ray_settings()
    if farm is not None:
        yield _farm(farm)


def healthy(findings: Sequence[Finding]) -> bool:
    """True if nothing bad was found."""
    return all(finding.verdict != "bad" for finding in findings)


def _python() -> Finding:
    found = sys.version.split()[0]
    if sys.version_info[:2] == (3, 11):
        return Finding("Python", "good", found)
    return Finding("Python", "bad", found, "use Python 3.11: tflite-runtime has wheels up to it")


def _packages() -> Iterator[Finding]:
    """The installed versions of our requirements, held against the bounds in our own metadata."""
    try:
        requirements = distribution("depth-sweep").requires or []
    except PackageNotFoundError:
        yield Finding("depth-sweep", "bad", "not installed", "pip install -e '.[sweep]' -c constraints.txt")
        return
    for text in requirements:
        requirement = Requirement(text)
        marker = requirement.marker
        wanted = marker is None or any(
            marker.evaluate({"extra": extra}) for extra in ("worker", "coordinator", "sweep")
        )
        if wanted and requirement.name != "depth-sweep":
            yield _package(requirement)


def _package(requirement: Requirement) -> Finding:
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return Finding(requirement.name, "bad", "not installed", f"pip install '{requirement.name}'")
    if requirement.specifier.contains(found, prereleases=True):
        return Finding(requirement.name, "good", found)
    advice = f"needs {requirement.specifier}: pip install -e '.[sweep]' -c constraints.txt"
    return Finding(requirement.name, "bad", found, advice)


def _numpy_and_interpreter() -> Iterator[Finding]:
    try:
        from tflite_runtime.interpreter import Interpreter
    except ImportError as error:
        yield Finding("TFLite interpreter", "bad", str(error), "pip install tflite-runtime 'numpy<2'")
        return
    try:
        Interpreter(model_content=b"no model")
    except ValueError as error:  # the interpreter itself works: it refused these bytes
        yield Finding("TFLite interpreter", "good", f"answers ({str(error).strip().splitlines()[0][:60]})")
    except Exception as error:
        yield Finding("TFLite interpreter", "bad", str(error), "pip install 'numpy<2'")


def _cores() -> Finding:
    cores = len(os.sched_getaffinity(0))
    if cores >= 2:
        return Finding("CPU cores", "good", str(cores))
    return Finding(
        "CPU cores", "note", str(cores), "training and everything else share one core: expect it slow"
    )


def _memory() -> Finding:
    import psutil

    free_gb = psutil.virtual_memory().available / 2**30
    if free_gb >= FREE_MEMORY_GB:
        return Finding("memory", "good", f"{free_gb:.1f} GB free")
    return Finding(
        "memory", "bad", f"{free_gb:.1f} GB free", f"Ray and one trainer need {FREE_MEMORY_GB:g} GB"
    )


def _gpu() -> Finding:
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        return Finding("GPU", "good", ", ".join(names))
    if shutil.which("nvidia-smi"):
        advice = "a driver is here, but this torch has no CUDA: install a CUDA build of torch"
        return Finding("GPU", "bad", f"torch {torch.__version__} sees none", advice)
    return Finding("GPU", "note", "none", "training runs on the CPU")


def _disk(runs: Path) -> Finding:
    folder = runs.resolve()
    while not folder.exists():
        folder = folder.parent
    free_gb = shutil.disk_usage(folder).free / 2**30
    if not os.access(folder, os.W_OK):
        return Finding("disk", "bad", f"{folder} is not writable", "choose another folder with --runs")
    if free_gb >= FREE_DISK_GB:
        return Finding("disk", "good", f"{free_gb:.0f} GB free at {folder}")
    return Finding("disk", "bad", f"{free_gb:.1f} GB free at {folder}", f"a sweep needs {FREE_DISK_GB:g} GB")


def _shared_memory() -> Finding:
    free_mb = shutil.disk_usage("/dev/shm").free / 2**20 if Path("/dev/shm").exists() else 0.0
    if free_mb >= 300:
        return Finding("shared memory", "good", f"{free_mb:.0f} MB free")
    advice = "Ray falls back to the disk; in a container, start it with --shm-size=1g"
    return Finding("shared memory", "note", f"{free_mb:.0f} MB free", advice)


def _ray_settings() -> Finding:
    address = os.environ.get("RAY_ADDRESS")
    if address is None:
        return Finding("Ray", "good", "starts on this machine unless --ray-address is given")
    advice = (
        "unset it, or give the cluster by --ray-address: sweep ignores the variable only for its own cluster"
    )
    return Finding("Ray", "note", f"RAY_ADDRESS={address}", advice)


def _farm(address: str) -> Finding:
    from device_farm.client import FarmClient
    from device_farm.types import FarmError

    try:
        with FarmClient(address) as client:
            devices = client.devices()
    except FarmError as error:
        return Finding("device farm", "bad", str(error), "device-farm serve --listen HOST:PORT")
    online = [device for device in devices if device.state != "offline"]
    if not online:
        return Finding(
            "device farm",
            "bad",
            f"{address}: no device",
            f"device-farm worker --farm {address}, on each device",
        )
    names = ", ".join(f"{device.name} ({device.device_class})" for device in online)
    return Finding("device farm", "good", f"{address}: {names}")
