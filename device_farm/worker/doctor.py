"""Whether a board is fit to join a farm: what was found out about it, judged, and what to do about it.

``inspection.py`` finds out; here is no I/O. What would make the board's measurements invalid under its
profile is a problem; what may make them worse is a warning; what cannot be read is unknown, not bad.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from device_farm.measuring.profiles import PROFILES, Evidence, unknown_facts, violations
from device_farm.types import EvidenceValue, Runtime
from device_farm.worker.firmware import flags_since_start

Verdict = Literal["ok", "warning", "problem", "unknown"]

OLDEST_PYTHON = (3, 11)
MEMORY_MB = (256, 1024)  # below the first: a problem; below the second: a warning
DISK_MB = (256, 1024)  # likewise; the largest model is 256 MB
WARM_C = 10.0  # this close to the highest temperature allowed: a warning
REFERENCE_SPREAD = 0.05  # on any machine, a larger difference between two runs is a warning


_NO_CPUFREQ = "as in any virtual machine or container; a board's own system tells"
_NO_FIRMWARE = "on a Raspberry Pi, `sudo usermod -aG video $USER` and a new login let vcgencmd answer"
_COOL = "cool the board: a heat sink or a fan, and no closed box"
_NO_PROC = "mount /proc in full: the kernel tells it there"


@dataclass(frozen=True)
class Check:
    """One result. ``advice`` is one line on what to do, empty where there is nothing to do."""

    subject: str
    verdict: Verdict
    found: str
    advice: str = ""


@dataclass(frozen=True)
class RuntimeFound:
    """A runtime that was looked for under ``python``: ``runtime`` if it works, else ``problem`` says why not.

    ``references_ms`` are medians of the reference model by delegate, one of each of two runs.
    """

    python: str
    runtime: Runtime | None = None
    problem: str = ""
    references_ms: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class CredentialsFound:
    """A credentials file: its ``role``, or the ``problem`` with it."""

    path: str
    role: str = ""
    problem: str = ""


@dataclass(frozen=True)
class FarmFound:
    """A coordinator: ``problem`` is empty if it lets this board's worker in, ``refused`` if it says no."""

    address: str
    problem: str = ""
    refused: bool = False


@dataclass(frozen=True)
class Inspection:
    """What was found out about a board; None is unknown.

    Attributes:
        python_version: of the Python that would run the worker.
        device_class: as the worker would register it.
        profile: name of the rules to hold it against.
        evidence: ``surroundings.summarise`` of about a second in which nothing was measured.
        memory_mb: memory that programs may still take.
        state: the worker's folder; ``disk_mb`` is the room that it has, ``state_problem`` why it cannot be used.
        clock_synchronised: by the kernel's word.
        credentials, farm: None where none was named.
    """

    python_version: tuple[int, int, int]
    device_class: str
    profile: str
    evidence: Evidence
    runtimes: tuple[RuntimeFound, ...]
    memory_mb: float | None
    state: str
    disk_mb: float | None
    state_problem: str
    clock_synchronised: bool | None
    credentials: CredentialsFound | None = None
    farm: FarmFound | None = None


def examine(inspection: Inspection) -> tuple[Check, ...]:
    """All checks, in the order in which a person would mend things."""
    return (
        _python(inspection),
        *(_runtime(found) for found in inspection.runtimes),
        _profile(inspection),
        *_conditions(inspection),
        *_room(inspection),
        _clock(inspection),
        *(check for found in inspection.runtimes for check in _stability(found, inspection.profile)),
        *_farm(inspection),
    )


def fit(checks: tuple[Check, ...]) -> bool:
    """Whether the board may join: no check found a problem."""
    return all(check.verdict != "problem" for check in checks)


def checks_to_json(checks: tuple[Check, ...]) -> dict[str, Any]:
    """A plain dict of all checks, for ``json.dumps``."""
    return {"fit": fit(checks), "checks": [vars(check) for check in checks]}


def _python(inspection: Inspection) -> Check:
    version = ".".join(map(str, inspection.python_version))
    if inspection.python_version >= OLDEST_PYTHON:
        return Check("Python", "ok", version)
    return Check("Python", "problem", version, "install Python 3.11 and the package there")


def _runtime(found: RuntimeFound) -> Check:
    if found.runtime is None:
        advice = "install an interpreter there (pip install 'depth-sweep[worker]') or name another Python"
        return Check("runtime", "problem", found.problem, advice)
    text = (
        f"{found.runtime.name} with {', '.join(found.runtime.delegates) or 'no delegate'} in {found.python}"
    )
    if "xnnpack" not in found.runtime.delegates:
        return Check(
            "runtime", "warning", text, "jobs for xnnpack, the usual delegate, will pass this board by"
        )
    return Check("runtime", "ok", text)


def _profile(inspection: Inspection) -> Check:
    unknown = unknown_facts(PROFILES[inspection.profile], inspection.evidence)
    text = f"{inspection.profile}, for {inspection.device_class}"
    if not unknown:
        return Check("profile", "ok", text)
    return Check(
        "profile",
        "unknown",
        f"{text}; it would like to know {', '.join(unknown)}",
        "see below; a measurement will not notice trouble there",
    )


def _conditions(inspection: Inspection) -> Iterator[Check]:
    """Power, heat, clock rate and load: what measurements are judged by, at this moment."""
    evidence, profile = inspection.evidence, PROFILES[inspection.profile]
    broken = {entry.rule: entry.text for entry in violations(profile, evidence, (), (), threads=1)}

    def judged(fine: Check, rule: str, advice: str) -> Check:
        return Check(fine.subject, "problem", broken[rule], advice) if rule in broken else fine

    yield judged(
        _governor(evidence),
        "governor",
        f"echo {profile.governor} | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
    )
    yield judged(
        _frequency_limit(evidence),
        "frequency",
        "set the governor above; look for a lower limit in config.txt and scaling_max_freq",
    )
    yield judged(_temperature(evidence, profile.max_temperature_c), "temperature", _COOL)
    yield _firmware(evidence, broken)
    yield _firmware_earlier(evidence)
    cores = Check("cores", "ok", _text(evidence.get("cores")))
    yield judged(cores, "threads", "let this program use the board's cores")
    yield judged(
        _other_programs(evidence),
        "other_cpu_cores",
        "end or disable what runs beside the worker; `top` names it",
    )
    yield judged(_stolen(evidence), "steal_share", "use a machine that is not shared")


def _governor(evidence: Evidence) -> Check:
    governor = evidence.get("governor")
    if governor is None:
        return _unreadable("governor", _NO_CPUFREQ)
    if governor == "performance":
        return Check("governor", "ok", "performance")
    return Check("governor", "warning", str(governor), "performance would make latencies steadier")


def _frequency_limit(evidence: Evidence) -> Check:
    limit, nominal = _number(evidence, "frequency_limit_mhz"), _number(evidence, "frequency_nominal_mhz")
    if limit is None or nominal is None:
        return _unreadable("frequency", _NO_CPUFREQ)
    text = f"{_number(evidence, 'frequency_min_mhz') or limit:.0f} MHz, limit {limit:.0f} MHz"
    if limit >= nominal:
        return Check("frequency", "ok", text)
    advice = "raise scaling_max_freq, unless the lower limit is meant"
    return Check("frequency", "warning", f"{text}; the hardware can do {nominal:.0f} MHz", advice)


def _temperature(evidence: Evidence, highest_c: float | None) -> Check:
    found = _number(evidence, "temperature_c_max")
    if found is None:
        return _unreadable("temperature", _NO_CPUFREQ)
    if highest_c is not None and found > highest_c - WARM_C:
        advice = f"cool the board: it does nothing now, and {highest_c:.0f} °C end a measurement"
        return Check("temperature", "warning", f"{found:.1f} °C", advice)
    return Check("temperature", "ok", f"{found:.1f} °C")


_FLAG_ADVICE = {
    "under_voltage": "use the board's own power supply, with a short cable",
    "frequency_capped": "see under-voltage and temperature",
    "throttled": "cool the board and use its own power supply",
    "soft_temperature_limit": _COOL,
}


def _firmware(evidence: Evidence, broken: Mapping[str, str]) -> Check:
    """The first of the firmware's complaints that holds now: under-voltage explains the others."""
    for flag, advice in _FLAG_ADVICE.items():
        if flag in broken:
            return Check("power now", "problem", broken[flag], advice)
    if evidence.get("throttled") is None:
        return _unreadable("power now", _NO_FIRMWARE)
    return Check("power now", "ok", f"nothing wrong ({evidence['throttled']})")


def _firmware_earlier(evidence: Evidence) -> Check:
    subject, word = "power earlier", evidence.get("throttled")
    if word is None:
        return Check(subject, "unknown", "cannot be read here")
    earlier = flags_since_start(str(word))
    if not earlier:
        return Check(subject, "ok", "nothing wrong")
    advice = "check power supply and cooling under load; a restart clears this memory"
    return Check(subject, "warning", ", ".join(earlier), advice)


def _other_programs(evidence: Evidence) -> Check:
    busy, load = _number(evidence, "other_cpu_cores"), evidence.get("load_average_after")
    if busy is None:
        return _unreadable("other programs", _NO_PROC)
    return Check("other programs", "ok", f"{busy:.2f} cores busy during a second, load average {_text(load)}")


def _stolen(evidence: Evidence) -> Check:
    share = _number(evidence, "steal_share")
    if share is None and _number(evidence, "other_cpu_cores") is None:
        return _unreadable("stolen time", _NO_PROC)
    return Check("stolen time", "ok", f"{100 * (share or 0.0):.1f} %")  # an idle second wanted nothing


def _room(inspection: Inspection) -> Iterator[Check]:
    yield _enough(
        "free memory", inspection.memory_mb, MEMORY_MB, "end other programs: a model may take 1024 MB"
    )
    if inspection.state_problem:
        yield Check("state folder", "problem", inspection.state_problem, "name another folder with --state")
    else:
        where = f" at {inspection.state}"
        yield _enough("free disk", inspection.disk_mb, DISK_MB, "free some space for models", where)


def _enough(subject: str, mb: float | None, limits: tuple[int, int], advice: str, where: str = "") -> Check:
    if mb is None:
        return _unreadable(subject, _NO_PROC)
    least, better = limits
    verdict: Verdict = "problem" if mb < least else "warning" if mb < better else "ok"
    return Check(subject, verdict, f"{mb:.0f} MB{where}", "" if verdict == "ok" else advice)


def _clock(inspection: Inspection) -> Check:
    if inspection.clock_synchronised is None:
        return _unreadable("clock", "see whether `timedatectl` shows the right time")
    if inspection.clock_synchronised:
        return Check("clock", "ok", "synchronised")
    advice = "times of measurements may be wrong: sudo timedatectl set-ntp true"
    return Check("clock", "warning", "the kernel says that nothing synchronises it", advice)


def _stability(found: RuntimeFound, profile: str) -> Iterator[Check]:
    tolerance = PROFILES[profile].reference_tolerance
    for delegate, medians in found.references_ms.items():
        assert found.runtime is not None
        low, high = sorted(medians)
        spread = high / low - 1
        subject = "stability"
        where = f"reference model with {found.runtime.name}/{delegate}"
        text = f"{where}: {medians[0]:.3f} ms, again {medians[1]:.3f} ms: {100 * spread:.1f} % apart"
        if spread > tolerance:
            advice = f"more than {100 * tolerance:g} % would taint jobs: look for other programs and for heat"
            yield Check(subject, "problem", text, advice)
        elif spread > REFERENCE_SPREAD:
            yield Check(
                subject, "warning", text, "latencies will wander: look for other programs and for heat"
            )
        else:
            yield Check(subject, "ok", text)


def _farm(inspection: Inspection) -> Iterator[Check]:
    held, farm = inspection.credentials, inspection.farm
    if held is not None:
        yield _credentials(held)
    if farm is None:
        return
    if not farm.problem:
        yield Check("coordinator", "ok", f"{farm.address} lets a worker in")
    elif farm.refused:
        yield Check("coordinator", "problem", farm.problem, "give it the file worker.json with --credentials")
    else:
        advice = f"see that `device-farm serve` runs there and that nothing blocks the way to {farm.address}"
        yield Check("coordinator", "problem", farm.problem, advice)


def _credentials(held: CredentialsFound) -> Check:
    if held.problem:
        return Check(
            "credentials", "problem", held.problem, "a board needs the coordinator's worker.json, mode 600"
        )
    if held.role != "worker":
        advice = "a board needs the coordinator's worker.json, and no more than that"
        return Check("credentials", "problem", f"{held.path} is for the role {held.role}", advice)
    return Check("credentials", "ok", f"{held.path}, for its owner only, role worker")


def _unreadable(subject: str, advice: str) -> Check:
    return Check(subject, "unknown", "cannot be read here", advice)


def _text(value: EvidenceValue) -> str:
    return "unknown" if value is None else str(value)


def _number(evidence: Evidence, key: str) -> float | None:
    value = evidence.get(key)
    return float(value) if isinstance(value, int | float) else None
