"""The simulated problems of the search benchmark: real latencies, known optima, stated noise."""

import itertools
import math
from statistics import stdev

import numpy as np
import pytest

from benchmarks.search_simulation import cells as cell_table
from benchmarks.search_simulation.cells import EDGES, OPERATIONS, load_cells, number_of
from benchmarks.search_simulation.landscapes import LANDSCAPES
from benchmarks.search_simulation.problems import (
    MAX_EPOCHS,
    NOISES,
    RUNGS,
    Problem,
    make_problem,
)
from benchmarks.search_simulation.space import SimulatedCandidate, cell_assignment
from sweep.space import ImpossibleCandidate, RandomSuggest


@pytest.mark.parametrize(
    ("operations", "latency_ms"),
    [
        (
            ("avg_pool_3x3", "nor_conv_1x1", "skip_connect", "nor_conv_3x3", "skip_connect", "nor_conv_3x3"),
            41.835682,
        ),
        (("skip_connect", "none", "avg_pool_3x3", "avg_pool_3x3", "skip_connect", "skip_connect"), 8.263570),
    ],
)
def test_a_measured_cell_has_its_published_latency(operations: tuple[str, ...], latency_ms: float) -> None:
    assert load_cells().latency_ms[number_of(operations)] == latency_ms


def test_every_measured_cell_that_works_has_its_measured_latency() -> None:
    lines = cell_table.MEASUREMENTS.read_text().splitlines()
    rows = [line.split(",") for line in lines if line[0].isdigit()]
    cells = load_cells()
    known = {int(digits, 5): float(latency) for digits, latency in rows}
    assert len(known) == 1000
    assert {c: cells.latency_ms[c] for c in known if cells.works[c]} == {
        c: latency for c, latency in known.items() if cells.works[c]
    }


def test_the_other_cells_deviate_from_the_model_as_the_measured_ones_do() -> None:
    cells = load_cells()
    known = np.zeros(len(cells.works), bool)
    known[[c for c in cell_table.read_measurements() if cells.works[c]]] = True
    deviation = np.abs(np.log(cells.latency_ms[cells.works] / cells.modelled_ms[cells.works]))
    measured = known[cells.works]
    for share in (0.25, 0.5, 0.75, 0.95):
        real, drawn = np.quantile(deviation[measured], share), np.quantile(deviation[~measured], share)
        assert drawn == pytest.approx(real, rel=0.15)


def ways(operations: np.ndarray) -> list[list[int]]:
    """Every way from input to output that is not cut, as numbers of edges."""
    routes = [[(0, 3)], [(0, 1), (1, 3)], [(0, 2), (2, 3)], [(0, 1), (1, 2), (2, 3)]]
    numbered = [[EDGES.index(edge) for edge in route] for route in routes]
    return [route for route in numbered if all(operations[edge] for edge in route)]


def test_structure_of_every_cell_follows_from_its_ways_from_input_to_output() -> None:
    cells = load_cells()
    for number in range(len(cells.works)):
        operations = cells.operations[number]
        found = ways(operations)
        live = set(itertools.chain.from_iterable(found))
        depths = [sum(OPERATIONS[operations[edge]].startswith("nor_conv") for edge in way) for way in found]
        assert cells.works[number] == bool(found)
        assert [*cells.live[number]] == [op if edge in live else 0 for edge, op in enumerate(operations)]
        assert cells.depth[number] == max(depths, default=0)


def best_candidate(problem: Problem) -> SimulatedCandidate:
    recipe = problem.landscape.best_recipe(problem.optimal_cell)
    return problem.space.candidate(
        {**cell_assignment(problem.cells, problem.optimal_cell), **recipe.assignment()}
    )


@pytest.mark.parametrize("landscape", LANDSCAPES)
@pytest.mark.parametrize("seed", range(4))
def test_the_stated_optimum_is_reached_inside_the_space_and_nothing_sampled_beats_it(
    landscape: str, seed: int
) -> None:
    problem = make_problem(landscape, "low", seed)
    best = best_candidate(problem)
    for parameter in problem.space.parameters():
        if parameter.path in best.assignment:
            parameter.domain.coerce(best.assignment[parameter.path])
    assert problem.true_score(best) == pytest.approx(problem.optimum, rel=1e-12)
    draw = RandomSuggest(seed)
    sampled = [problem.space.random(draw) for _ in range(1500)]
    recipes = [
        problem.space.candidate({**c.assignment, **cell_assignment(problem.cells, best.cell)})
        for c in sampled
    ]
    assert max(problem.true_score(c) for c in (*sampled, *recipes)) <= problem.optimum * (1 + 1e-12)


@pytest.mark.parametrize("landscape", LANDSCAPES)
def test_no_cell_has_a_recipe_better_than_the_one_said_to_be_its_best(landscape: str) -> None:
    problem = make_problem(landscape, "low", 5)
    draw = RandomSuggest(5)
    losses = []
    for _ in range(1500):
        candidate = problem.space.random(draw)
        assert problem.landscape.loss(
            candidate.cell, problem.landscape.best_recipe(candidate.cell)
        ) == pytest.approx(0.0, abs=1e-12)
        losses.append(problem.landscape.loss(candidate.cell, candidate.recipe))
    assert min(losses) >= 0
    assert max(losses) > 0.02


def test_the_problems_are_the_ones_that_were_frozen() -> None:
    found = {}
    for landscape in LANDSCAPES:
        problem = make_problem(landscape, "high", 0)
        best = best_candidate(problem)
        found[landscape] = [
            round(problem.optimum, 3),
            round(problem.observe_si_rmse(best, 3), 6),
            round(problem.observe_latency_ms(best, "admission"), 6),
        ]
    assert found == FROZEN


def test_a_training_diverges_only_on_the_rugged_landscape_and_stays_diverged() -> None:
    draw = RandomSuggest(0)
    for landscape in LANDSCAPES:
        problem = make_problem(landscape, "low", 0)
        candidates = [problem.space.random(draw) for _ in range(300)]
        curves = [[problem.observe_si_rmse(c, epoch) for epoch in (1, 4, MAX_EPOCHS)] for c in candidates]
        diverged = [curve for curve in curves if math.isnan(curve[-1])]
        assert all(math.isnan(curve[1]) for curve in diverged)
        assert bool(diverged) == (landscape == "rugged")


def test_early_epochs_mislead_most_where_the_best_learn_slowly() -> None:
    def agreement(landscape: str) -> float:
        problem = make_problem(landscape, "low", 1)
        draw = RandomSuggest(1)
        candidates = [problem.space.random(draw) for _ in range(600)]
        final = {c.hash: problem.true_score(c) for c in candidates}
        good = sorted(candidates, key=lambda c: final[c.hash])[-120:]
        early = [2 ** (-20 * problem.true_si_rmse(c, RUNGS[0])) / problem.true_latency_ms(c) for c in good]
        ranks = np.argsort(np.argsort(np.nan_to_num(early)))
        return float(np.corrcoef(ranks, np.arange(120))[0, 1])

    found = {landscape: agreement(landscape) for landscape in LANDSCAPES}
    assert found["slow"] < 0.6 < min(found[name] for name in ("additive", "interacting", "rugged"))


@pytest.mark.parametrize("noise", NOISES)
def test_noise_has_the_stated_spread_at_the_first_rung_and_at_the_end(noise: str) -> None:
    problem = make_problem("additive", noise, 0)
    draw = RandomSuggest(0)
    candidates = [problem.space.random(draw) for _ in range(1500)]
    regime = NOISES[noise]
    for epoch, spread in (
        (RUNGS[0], math.hypot(regime.spread, regime.misleading)),
        (MAX_EPOCHS, regime.spread),
    ):
        off = [problem.observe_si_rmse(c, epoch) - problem.true_si_rmse(c, epoch) for c in candidates]
        assert stdev(off) == pytest.approx(spread, rel=0.06)
        assert abs(np.mean(off)) < 4 * spread / math.sqrt(len(off))


def test_a_cell_through_which_nothing_flows_is_refused() -> None:
    problem = make_problem("additive", "low", 0)
    assignment = best_candidate(problem).assignment
    nothing = cell_assignment(problem.cells, 0)
    with pytest.raises(ImpossibleCandidate, match="input does not reach its output"):
        problem.space.candidate({**assignment, **nothing})


FROZEN = {
    "additive": [410.508, 0.323636, 18.374156],
    "interacting": [514.928, 0.270642, 18.414704],
    "rugged": [465.287, 0.39538, 23.282327],
    "slow": [568.669, 0.479096, 16.028887],
}
"""Optimum, an early si-RMSE and an admission latency of each landscape's first instance."""
