"""What the options of ``device-farm measure`` mean. All functions raise ValueError naming the option or file."""

from pathlib import Path

from device_farm.cli import arguments
from device_farm.model_files.model_check import RefusedModel, check_model, check_model_size
from device_farm.types import (
    DELEGATES,
    MAX_INVOCATIONS,
    MAX_SECONDS,
    MAX_THREADS,
    MeasurementSettings,
    Target,
)

DEFAULTS = MeasurementSettings()
MAX_PRIORITY = 1000


def parse_target(require: str, runtime: str, threads: str, delegate: str) -> Target:
    """``require`` is K=V,... and may name the runtime, too."""
    labels = arguments.pairs("--require", [part for part in require.split(",") if part.strip()], "K=V,...")
    required = labels.pop("runtime", runtime)
    if runtime and required != runtime:
        raise ValueError(f"--require asks for runtime {required}, --runtime for {runtime}")
    return Target(
        labels,
        required,
        arguments.whole_number("--threads", threads, 1, MAX_THREADS),
        arguments.one_of("--delegate", delegate, DELEGATES),
    )


def parse_settings(interval: str, budget: str) -> MeasurementSettings:
    """A larger time budget allows more invocations in the same measure, and the job as much more time."""
    width = arguments.number("--interval", interval, 0.01, 100, "percent") / 100
    seconds = arguments.number("--budget", budget, 0, MAX_SECONDS / 2, "seconds")
    growth = max(1.0, seconds / DEFAULTS.sampling_seconds)
    return MeasurementSettings(
        interval_width=width,
        sampling_seconds=seconds,
        max_invocations=min(MAX_INVOCATIONS, round(growth * DEFAULTS.max_invocations)),
        timeout_seconds=DEFAULTS.timeout_seconds + max(0.0, seconds - DEFAULTS.sampling_seconds),
    )


def parse_timeout(text: str | None, *, detach: bool) -> float | None:
    """Seconds to wait for the result; None: as long as it takes."""
    if text is None:
        return None
    if detach:
        raise ValueError("--timeout says how long to wait for the result, but --detach does not wait for it")
    return arguments.number("--timeout", text, 0, MAX_SECONDS, "seconds")


def read_model(model: Path) -> bytes:
    """The file, checked before anything travels. Raises OSError, too, if it cannot be read."""
    if not model.is_file():
        raise ValueError(f"{model}: {'a folder, not a file' if model.is_dir() else 'no such file'}")
    try:
        check_model_size(model.stat().st_size)
        data = model.read_bytes()
        check_model(data)
    except RefusedModel as refusal:
        raise ValueError(f"{model}: {refusal}") from None
    return data
