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
FREE_SHARED_MEMORY_MB = 300
INSTALL = "pip install -e '.[sweep]' -c constraints.txt"


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
    yield check_disk(runs)
    yield _shared_memory()
    yield judge_ray_settings(os.environ.get("RAY_ADDRESS"))
    if farm is not None:
        yield check_farm(farm)


def healthy(findings: Sequence[Finding]) -> bool:
    """True if nothing bad was found."""
    return all(finding.verdict != "bad" for finding in findings)


def _python() -> Finding:
    found = sys.version.split()[0]
    if sys.version_info[:2] == (3, 11):
        return Finding("Python", "good", found)
    return Finding("Python", "bad", found, "use Python 3.11: tflite-runtime has wheels up to it")


def _packages() -> Iterator[Finding]:
    """The installed versions of our requirements, held against the bounds in our own metadata.

    What is wrong comes one by one, what is good in one finding.
    """
    try:
        requirements = distribution("depth-sweep").requires or []
    except PackageNotFoundError:
        yield Finding("depth-sweep", "bad", "not installed", INSTALL)
        return
    findings = [
        check_package(requirement) for requirement in map(Requirement, requirements) if _wanted(requirement)
    ]
    good = [f"{finding.subject} {finding.found}" for finding in findings if finding.verdict == "good"]
    yield from (finding for finding in findings if finding.verdict != "good")
    yield Finding("packages", "good", ", ".join(good))


def _wanted(requirement: Requirement) -> bool:
    marker = requirement.marker
    extras = ("worker", "coordinator", "sweep")
    needed = marker is None or any(marker.evaluate({"extra": extra}) for extra in extras)
    return needed and requirement.name != "depth-sweep"


def check_package(requirement: Requirement) -> Finding:
    """Whether the package is installed in a version that ``requirement`` allows."""
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return Finding(requirement.name, "bad", "not installed", INSTALL)
    if requirement.specifier.contains(found, prereleases=True):
        return Finding(requirement.name, "good", found)
    return Finding(requirement.name, "bad", found, f"needs {requirement.specifier}: {INSTALL}")


def _numpy_and_interpreter() -> Iterator[Finding]:
    try:
        from tflite_runtime.interpreter import Interpreter
    except ImportError as error:
        yield Finding("TFLite interpreter", "bad", str(error), "pip install tflite-runtime 'numpy<2'")
        return
    try:
        Interpreter(model_content=b"no model")
    except ValueError:  # the interpreter itself works: it refused these bytes
        yield Finding("TFLite interpreter", "good", "works")
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
    try:
        import psutil
    except ImportError as error:
        return Finding("memory", "bad", str(error), INSTALL)
    return judge_memory(psutil.virtual_memory().available / 2**30)


def judge_memory(free_gb: float) -> Finding:
    """Whether ``free_gb`` (GiB) is enough for Ray and a trainer."""
    found = f"{free_gb:.1f} GB free"
    if free_gb >= FREE_MEMORY_GB:
        return Finding("memory", "good", found)
    return Finding(
        "memory", "bad", found, f"close other programs: Ray and one trainer need {FREE_MEMORY_GB:g} GB"
    )


def _gpu() -> Finding:
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a shared library of it does not load
        return Finding("torch", "bad", f"cannot be imported: {error}", INSTALL)
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        return Finding("GPU", "good", ", ".join(names))
    if shutil.which("nvidia-smi"):
        advice = "a driver is here, but this torch has no CUDA: install a CUDA build of torch"
        return Finding("GPU", "bad", f"torch {torch.__version__} sees none", advice)
    return Finding("GPU", "note", "none", "training runs on the CPU")


def check_disk(runs: Path) -> Finding:
    """Whether the folder of all sweeps, or the nearest one above it, can be written and has room."""
    folder = runs.resolve()
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        return Finding("disk", "bad", f"{folder} is a file", "choose a folder with --runs")
    if not os.access(folder, os.W_OK):
        return Finding("disk", "bad", f"{folder} is not writable", "choose another folder with --runs")
    return judge_disk(folder, shutil.disk_usage(folder).free / 2**30)


def judge_disk(folder: Path, free_gb: float) -> Finding:
    """Whether ``free_gb`` (GiB) at ``folder`` are enough for a sweep."""
    found = f"{free_gb:.1f} GB free at {folder}"
    if free_gb >= FREE_DISK_GB:
        return Finding("disk", "good", found)
    return Finding("disk", "bad", found, f"free some space: a sweep needs {FREE_DISK_GB:g} GB")


def _shared_memory() -> Finding:
    folder = Path("/dev/shm")
    return judge_shared_memory(shutil.disk_usage(folder).free / 2**20 if folder.exists() else 0.0)


def judge_shared_memory(free_mb: float) -> Finding:
    """Whether ``free_mb`` (MiB) hold Ray's object store."""
    found = f"{free_mb:.0f} MB free"
    if free_mb >= FREE_SHARED_MEMORY_MB:
        return Finding("shared memory", "good", found)
    advice = "Ray falls back to the disk; in a container, start it with --shm-size=1g"
    return Finding("shared memory", "note", found, advice)


def judge_ray_settings(address: str | None) -> Finding:
    """``address`` is the environment's RAY_ADDRESS."""
    if not address:
        return Finding("Ray", "good", "starts on this machine unless --ray-address is given")
    advice = "sweep does not look at it: give the cluster by --ray-address"
    return Finding("Ray", "note", f"RAY_ADDRESS={address}", advice)


def check_farm(address: str) -> Finding:
    """Whether a coordinator answers at ``address`` (HOST:PORT) and has a device online."""
    from device_farm.client import FarmClient
    from device_farm.credentials import default_credentials
    from device_farm.types import FarmError
    from sweep.engine.target import takes_jobs

    try:
        with FarmClient(address, credentials=default_credentials()) as client:
            devices = client.devices()
    except (FarmError, ValueError) as error:
        return Finding("device farm", "bad", str(error), f"start it: device-farm serve --listen {address}")
    online = [device for device in devices if takes_jobs(device)]
    if not online:
        advice = f"on each device: device-farm worker --farm {address}"
        return Finding("device farm", "bad", f"{address}: no device that takes jobs", advice)
    names = ", ".join(f"{device.name} ({device.device_class})" for device in online)
    return Finding("device farm", "good", f"{address}: {names}")
