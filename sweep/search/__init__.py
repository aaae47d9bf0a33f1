"""Search decisions. Proposers, which need optimisation libraries, are made by `sweep.search.proposer`."""

from sweep.search.admission import AdmissionPolicy, Verdict
from sweep.search.planning import OUT_OF_TIME, Attempt, Costs, Limits, Planner, observe_costs
from sweep.search.ports import Proposal, Proposes, SearchSpace, Start
from sweep.search.rungs import RungPolicy, interrupted, promotable

__all__ = [
    "OUT_OF_TIME",
    "AdmissionPolicy",
    "Attempt",
    "Costs",
    "Limits",
    "Planner",
    "Proposal",
    "Proposes",
    "RungPolicy",
    "SearchSpace",
    "Start",
    "Verdict",
    "interrupted",
    "observe_costs",
    "promotable",
]
