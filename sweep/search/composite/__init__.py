"""Composite Bayesian optimisation of the score."""

from sweep.search.composite.proposer import CompositeProposer
from sweep.search.composite.settings import CompositeSettings

__all__ = ["CompositeProposer", "CompositeSettings"]
