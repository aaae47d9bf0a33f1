"""Measuring files on the farm: the effort that each decision deserves, and silence on this machine meanwhile."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from device_farm.client import FarmClient
from device_farm.jobs import DEVICE_ID
from device_farm.types import Measurement, MeasurementFailed, MeasurementSettings, Target
from sweep.engine.quiet import QuietHost
from sweep.engine.settings import ResolvedTarget
from sweep.space import InferenceSetting

COARSE = MeasurementSettings(interval_width=0.1, min_invocations=10, sampling_seconds=0.3)
"""Enough to see that a candidate is far too slow."""

ADMISSION = MeasurementSettings(interval_width=0.03, min_invocations=20, sampling_seconds=1.0)
"""For partial scores: 3 % of latency is worth 0.002 of si-RMSE."""

FINAL = MeasurementSettings(interval_width=0.01, min_invocations=30, sampling_seconds=3.0)
"""For the leaderboard."""

PATIENCE = 4
"""Jobs that may fail, each after the farm's own attempts, before a measurement has failed."""


class Measurer:
    """Measures files on the farm, alone on this machine if the device is this machine."""

    def __init__(self, farm: FarmClient, target: ResolvedTarget, quiet_directory: Path | None) -> None:
        self._farm = farm
        self._target = target
        self._quiet = QuietHost(quiet_directory) if quiet_directory else None

    def measure(
        self,
        tflite: Path,
        settings: MeasurementSettings,
        *,
        fresh: bool = False,
        device_id: str | None = None,
        at: InferenceSetting | None = None,
    ) -> Measurement:
        """The latency of ``tflite`` on the sweep's target.

        Args:
            tflite: the file.
            settings: how much effort to spend.
            fresh: measure again, even if the farm knows an answer.
            device_id: on this very device; None: on any of the target's.
            at: threads and delegate; None: the target's.

        Raises:
            FarmError: as `FarmClient.measure`; also if a device of another class answered.
        """
        exact = self._on(device_id, at)
        measurement = self._persistently(lambda: self._once(tflite, settings, fresh, exact))
        if measurement.device_class != self._target.device_class:
            raise MeasurementFailed(
                f"measured on device class {measurement.device_class!r}; "
                f"this sweep's is {self._target.device_class!r}"
            )
        return measurement

    def _persistently(self, measure: Callable[[], Measurement]) -> Measurement:
        """The farm gives up within seconds; a board in trouble or a busy host may take longer."""
        for _ in range(PATIENCE - 1):
            with suppress(MeasurementFailed):
                return measure()
        return measure()

    def _once(self, tflite: Path, settings: MeasurementSettings, fresh: bool, target: Target) -> Measurement:
        if self._quiet is None:
            return self._farm.measure(tflite, target, settings, fresh=fresh)
        with self._quiet.quiet():
            return self._farm.measure(tflite, target, settings, fresh=fresh)

    def _on(self, device_id: str | None, at: InferenceSetting | None) -> Target:
        exact = self._target.exact if at is None else self._target.at(at)
        if device_id is None:
            return exact
        labels = {**exact.labels, DEVICE_ID: device_id}
        return Target(labels, exact.runtime, exact.threads, exact.delegate)
