"""What the search benchmark says of many runs, and how it keeps them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import bootstrap

from benchmarks.search_simulation.campaign import Task, run_all
from benchmarks.search_simulation.statistics import Curve, median_curve, paired_difference


def test_the_paired_interval_of_two_pairs_is_what_a_hand_calculates() -> None:
    # Differences 1 and 3 over the median 2: one half and three halves. Resamples of two have means 0.5, 1 and 1.5
    # with chances 1/4, 1/2 and 1/4, so the outermost 2.5 % on each side lie at 0.5 and 1.5.
    found = paired_difference([3.0, 5.0], [2.0, 2.0])
    assert (found.estimate, found.low, found.high) == (1.0, 0.5, 1.5)


def test_the_paired_interval_agrees_with_scipys_bootstrap() -> None:
    draw = np.random.default_rng(4)
    theirs = draw.uniform(0.5, 0.9, 30)
    ours = theirs + draw.normal(0.05, 0.04, 30)
    found = paired_difference([*ours], [*theirs])
    differences = (ours - theirs) / np.median(theirs)
    expected = bootstrap(
        (differences,), np.mean, method="percentile", n_resamples=10_000, rng=np.random.default_rng(5)
    ).confidence_interval
    assert found.estimate == pytest.approx(differences.mean(), rel=1e-12)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.002)


@pytest.mark.parametrize(("ours", "theirs"), [([], []), ([1.0], [1.0, 2.0]), ([1.0], [0.0])])
def test_a_paired_difference_needs_pairs_and_something_to_compare_with(
    ours: list[float], theirs: list[float]
) -> None:
    with pytest.raises(ValueError, match=r"pairs are needed|must be above 0"):
        paired_difference(ours, theirs)


def test_a_curve_has_reached_a_worth_when_it_does_not_fall_below_it_again() -> None:
    curve = Curve(((0.1, 0.5), (0.3, 0.8), (0.4, 0.6), (0.7, 0.9)))
    assert [curve.reached(worth) for worth in (0.5, 0.6, 0.7, 0.95)] == [0.1, 0.3, 0.7, None]
    assert [curve.at(share) for share in (0.0, 0.1, 0.35, 1.0)] == [0.0, 0.5, 0.8, 0.9]
    flat = median_curve([curve, Curve(((0.0, 0.7),)), Curve(())])
    assert [flat.at(share) for share in (0.0, 0.2, 0.5, 1.0)] == [0.0, 0.5, 0.6, 0.7]


def test_a_campaign_that_was_broken_off_goes_on_and_tells_the_same(tmp_path: Path) -> None:
    out = tmp_path / "runs.jsonl"
    tasks = [Task("additive", "low", seed, "random") for seed in range(3)]
    whole = list(run_all(tasks, 1, out))
    lines = out.read_text().splitlines(keepends=True)
    out.write_text(lines[0] + lines[1][:40])
    again = list(run_all(tasks, 1, out))
    assert [json.loads(line)["task"]["seed"] for line in out.read_text().splitlines()] == [0, 1, 2]
    settled = [replace(result, cpu_s=0.0, curve=rounded(result.curve)) for result in whole]
    assert [replace(result, cpu_s=0.0, curve=rounded(result.curve)) for result in again] == settled


def rounded(curve: Curve) -> Curve:
    """To the digits that the file keeps."""
    return Curve(tuple((round(share, 6), round(worth, 6)) for share, worth in curve.steps))
