"""What the search asks of a space and of a proposer, as protocols: the core depends on nothing more."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from sweep.lifecycle import SweepState
from sweep.space import Assignment, Parameter, Primitive, Suggest

Origin = Literal["start", "warm_start", "sampler", "finalist"]
"""Who wanted a candidate: the space's start_from, its warm_start, the sampler, or the person who finalises."""


class Network(Protocol):
    """A candidate, as far as the search looks at it."""

    @property
    def hash(self) -> str:
        """Identity of the whole candidate; equivalent spellings are one."""

    @property
    def architecture_hash(self) -> str:
        """Identity of the network without its recipe: what latency depends on."""

    def model_dump(self, *, mode: Literal["json"]) -> dict[str, Any]:
        """Plain data for the journal and the trainer."""


class SearchSpace(Protocol):
    """Parameters, samples and candidates; `sweep.space.Space` is one."""

    def parameters(self) -> tuple[Parameter, ...]:
        """Every searched value, each after the choice that opens it."""

    def sample(self, suggest: Suggest) -> Assignment:
        """Ask ``suggest`` for each parameter that exists."""

    def candidate(self, assignment: Mapping[str, Primitive]) -> Network:
        """What a complete assignment means.

        Raises:
            ImpossibleCandidate: the values fit one by one, but the combination cannot exist.
        """


@dataclass(frozen=True)
class Start:
    """A candidate that somebody wants tried; what the assignment leaves open is drawn by the sampler."""

    assignment: Assignment
    origin: Origin
    seed: int | None = None
    """Training seed; None: the sweep's own choice."""


@dataclass(frozen=True)
class Proposal:
    """A new candidate, with the assignment that spells it and who wanted it."""

    assignment: Assignment
    candidate: Network
    origin: Origin
    seed: int | None = None


class Proposes(Protocol):
    """Proposes candidates that the sweep has not seen; a pure function of the state, the seed and the space."""

    @property
    def optuna_seconds(self) -> float:
        """Time spent inside optimisation libraries (Optuna) so far."""

    def propose(self, state: SweepState) -> Proposal | None:
        """The next candidate, or None if the space is exhausted."""
