"""Small search spaces whose candidates mean whatever a test says, and how proposals become trials of a sweep."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tests_search_builder import SweepBuilder

from sweep.lifecycle.events import TrialAdmitted, TrialCompleted, TrialInfeasible, TrialProposed
from sweep.search import Proposal, Proposes
from sweep.space import (
    Assignment,
    Condition,
    ImpossibleCandidate,
    IntegerRange,
    Options,
    Parameter,
    Primitive,
    RealRange,
    Suggest,
)


@dataclass(frozen=True)
class ToyNetwork:
    """What an assignment of a `ToySpace` means."""

    meaning: Any

    @property
    def hash(self) -> str:
        return json.dumps(self.meaning, sort_keys=True)

    @property
    def architecture_hash(self) -> str:
        return self.hash

    def model_dump(self, *, mode: Literal["json"]) -> dict[str, Any]:
        return {mode: self.meaning}


@dataclass(frozen=True)
class ToySpace:
    """Implements the port `SearchSpace`: equal meanings are one candidate, the meaning None is impossible."""

    known: tuple[Parameter, ...]
    meaning: Callable[[Mapping[str, Primitive]], Any] = field(default=dict)

    def parameters(self) -> tuple[Parameter, ...]:
        return self.known

    def sample(self, suggest: Suggest) -> Assignment:
        assignment: Assignment = {}
        for parameter in self.known:
            condition = parameter.condition
            if condition is None or assignment.get(condition.path) == condition.option:
                value = parameter.domain.ask(suggest, parameter.path)
                assignment[parameter.path] = parameter.domain.coerce(value)
        return assignment

    def candidate(self, assignment: Mapping[str, Primitive]) -> ToyNetwork:
        meaning = self.meaning(assignment)
        if meaning is None:
            raise ImpossibleCandidate("the test says so", dict(assignment))
        return ToyNetwork(meaning)


FLAT = ToySpace(
    (
        Parameter("kernel", Options((3, 5, 7))),
        Parameter("depth", IntegerRange(1, 8)),
        Parameter("width", RealRange(0.25, 2.0)),
        Parameter("rate", RealRange(1e-4, 1e-1, log=True)),
        Parameter("upsampling", Options(("bilinear", "nearest"))),
    )
)
"""Every candidate has all five parameters."""

CONDITIONAL = ToySpace(
    (
        Parameter("optimizer", Options(("adam", "sgd"))),
        Parameter("optimizer.adam.decay", RealRange(0.0, 1.0), Condition("optimizer", "adam")),
        Parameter("optimizer.sgd.momentum", RealRange(0.0, 0.9), Condition("optimizer", "sgd")),
        Parameter("width", IntegerRange(8, 64, step=8)),
    )
)
"""Each optimizer opens a parameter of its own."""


def record(sweep: SweepBuilder, proposal: Proposal) -> int:
    """The proposal as a new trial of ``sweep``; returns its number."""
    number = len(sweep.state.trials)
    candidate = proposal.candidate
    sweep.record(
        TrialProposed(
            number,
            dict(proposal.assignment),
            candidate.model_dump(mode="json"),
            candidate.hash,
            candidate.architecture_hash,
            proposal.origin,
            proposal.seed,
        )
    )
    return number


def propose(sweep: SweepBuilder, proposer: Proposes) -> int:
    """One more trial, as ``proposer`` wants it."""
    proposal = proposer.propose(sweep.state)
    assert proposal is not None
    return record(sweep, proposal)


def admit(sweep: SweepBuilder, proposer: Proposes, latency_ms: float = 5.0, size_mb: float = 1.0) -> int:
    """One more trial, exported and measured."""
    number = propose(sweep, proposer)
    sweep.record(TrialAdmitted(number, latency_ms, {}, {"size_bytes": round(size_mb * 1e6)}))
    return number


def complete(sweep: SweepBuilder, number: int, score: float, si_rmse: float = 0.3) -> None:
    """Train an admitted trial to the end; the final latency is the admission's."""
    sweep.train(number, 6, [score] * 6)
    latency_ms = sweep.state.trials[number].latency_ms
    sweep.record(TrialCompleted(number, {"si_rmse": si_rmse}, latency_ms, score, {}, {}, {}, {}))


def break_constraint(sweep: SweepBuilder, proposer: Proposes, latency_ms: float) -> int:
    """One more trial that its latency alone rules out."""
    number = admit(sweep, proposer, latency_ms)
    sweep.record(TrialInfeasible(number, f"latency_ms {latency_ms:g}"))
    return number
