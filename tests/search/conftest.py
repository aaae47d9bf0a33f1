"""Fixtures of the search tests."""

from collections.abc import Callable, Sequence

import pytest
from tests_search_builder import SweepBuilder


@pytest.fixture
def sweep() -> SweepBuilder:
    return SweepBuilder()


@pytest.fixture
def many_at_rung(sweep: SweepBuilder) -> Callable[[Sequence[float]], SweepBuilder]:
    def build(scores: Sequence[float]) -> SweepBuilder:
        for score in scores:
            sweep.at_rung(score)
        return sweep

    return build
