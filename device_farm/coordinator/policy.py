"""The coordinator's times and limits."""

from dataclasses import dataclass

from device_farm.coordinator.records import Ending


@dataclass(frozen=True)
class Policy:
    """The coordinator's times and limits.

    Attributes:
        heartbeat_seconds: how often a worker says that it is alive.
        silence_seconds: a worker that is silent for longer is disconnected.
        lease_seconds: a lease lapses when no heartbeat has named it for longer; so long a lost worker, or the
            whole fleet of a restarted coordinator, may take to come back.
        lease_margin_seconds: what a job may take beyond its own timeout (download, start, report).
        max_failures: how often a job may fail before it is given up.
        max_losses: how often it may lose its device.
        max_invalid: how often its conditions may be invalid.
        orphan_seconds: how long a job goes on while no client waits for it, unless it is detached.
    """

    heartbeat_seconds: float = 3.0
    silence_seconds: float = 10.0
    lease_seconds: float = 10.0
    lease_margin_seconds: float = 60.0
    max_failures: int = 3
    max_losses: int = 10
    max_invalid: int = 5
    orphan_seconds: float = 15.0

    def limit(self, ending: Ending) -> int:
        """How many attempts of a job may end so."""
        return {"failure": self.max_failures, "loss": self.max_losses, "invalid": self.max_invalid}[ending]
