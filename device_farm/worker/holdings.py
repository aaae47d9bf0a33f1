"""Which leases a worker holds: the one that it runs, and those whose results nobody has acknowledged yet."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from device_farm.jobs import LeaseResult, RunOutcome


@dataclass(frozen=True)
class Holdings:
    """A worker's leases by their tokens. Every method returns what holds afterwards.

    They survive a lost connection: the worker names ``tokens`` when it introduces itself again, and then sends
    ``results`` once more.
    """

    running: int | None = None
    outcomes: Mapping[int, RunOutcome] = field(default_factory=dict)

    @property
    def tokens(self) -> tuple[int, ...]:
        """What the worker answers for, running or not yet acknowledged, oldest first."""
        running = () if self.running is None else (self.running,)
        return tuple(sorted({*self.outcomes, *running}))

    @property
    def results(self) -> tuple[LeaseResult, ...]:
        """What the coordinator has not acknowledged, oldest first."""
        return tuple(LeaseResult(token, self.outcomes[token]) for token in sorted(self.outcomes))

    def started(self, token: int) -> "Holdings":
        """A lease begins; what ran before is forgotten, since a device has one lease at a time."""
        return replace(self, running=token)

    def ended(self, token: int, outcome: RunOutcome) -> "Holdings":
        """The lease's job ended. That of a lease which is no longer held tells nobody anything."""
        if token != self.running:
            return self
        return Holdings(None, {**self.outcomes, token: outcome})

    def dropped(self, token: int) -> "Holdings":
        """The lease is void, or its result is acknowledged."""
        outcomes = {held: outcome for held, outcome in self.outcomes.items() if held != token}
        return Holdings(None if token == self.running else self.running, outcomes)
