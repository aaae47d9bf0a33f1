"""Search decisions: the proposer over Optuna, the rung policy, and the planner that joins them."""

from sweep.search.planning import Attempt, Costs, Limits, Planner, observe_costs
from sweep.search.proposer import Proposal, Proposer
from sweep.search.rungs import RungPolicy, interrupted, promotable

__all__ = [
    "Attempt",
    "Costs",
    "Limits",
    "Planner",
    "Proposal",
    "Proposer",
    "RungPolicy",
    "interrupted",
    "observe_costs",
    "promotable",
]
