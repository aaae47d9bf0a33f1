"""Code rows and features: every candidate has one row, and every row that is drawn or changed is a candidate."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests_search_spaces import CONDITIONAL, FLAT, ToySpace

from sweep.search.composite.encoding import Encoding
from sweep.search.composite.pool import changed_rows, random_rows
from sweep.space import (
    ImpossibleCandidate,
    IntegerRange,
    Options,
    Parameter,
    RandomSuggest,
    RealRange,
    Space,
    SpaceError,
    bundled_spaces,
    parse_space,
)

LOG_INTEGERS = ToySpace((Parameter("channels", IntegerRange(1, 512, log=True)),))


def bundled() -> Space:
    return parse_space(bundled_spaces()["mobilenetv3"].read_text(), "mobilenetv3.yaml")


@given(seed=st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_an_assignment_comes_back_from_its_code_row(seed: int) -> None:
    for space in (FLAT, CONDITIONAL, LOG_INTEGERS):
        encoding = Encoding(space.parameters())
        assignment = space.sample(RandomSuggest(seed))
        decoded = encoding.decode(encoding.encode([assignment])[0])
        assert list(decoded) == list(assignment)
        for path, value in assignment.items():
            assert type(decoded[path]) is type(value)
            assert decoded[path] == (pytest.approx(value, rel=1e-12) if isinstance(value, float) else value)


@pytest.mark.parametrize("changed", [False, True], ids=["drawn", "changed"])
def test_every_row_of_the_pool_is_a_complete_assignment_of_a_real_space(changed: bool) -> None:
    space, rng = bundled(), np.random.default_rng(0)
    encoding = Encoding(space.parameters())
    rows = random_rows(encoding, rng, 200)
    if changed:
        rows = changed_rows(encoding, rng, rows[:10], 200)
    possible = 0
    for row in rows:
        try:
            space.candidate(
                encoding.decode(row)
            )  # a SpaceError would say what is missing, closed or out of range
            possible += 1
        except ImpossibleCandidate:
            pass
    assert possible > 100


def test_a_space_refuses_what_an_unclosed_row_would_spell() -> None:
    """The check above can fail."""
    space = bundled()
    encoding = Encoding(space.parameters())
    with pytest.raises(SpaceError):
        space.candidate(encoding.decode(encoding.draw(np.random.default_rng(0), 1)[0]))


def test_rows_are_drawn_like_random_candidates() -> None:
    encoding = Encoding(LOG_INTEGERS.parameters())
    ours = encoding.decode  # one row at a time
    drawn = [ours(row)["channels"] for row in random_rows(encoding, np.random.default_rng(0), 20_000)]
    suggest = RandomSuggest(0)
    theirs = [LOG_INTEGERS.sample(suggest)["channels"] for _ in range(20_000)]
    edges = [1, 2, 4, 8, 16, 32, 64, 128, 256, 513]
    shares = [np.histogram(values, edges)[0] / 20_000 for values in (drawn, theirs)]
    np.testing.assert_allclose(shares[0], shares[1], atol=0.015)


def test_a_change_keeps_most_of_its_parent() -> None:
    encoding, rng = Encoding(FLAT.parameters()), np.random.default_rng(1)
    parent = random_rows(encoding, rng, 1)
    children = changed_rows(encoding, rng, parent, 500)
    kept = (children == parent).sum(axis=1)
    assert 2.5 < kept.mean() < 4.5
    assert kept.min() >= 0
    assert (kept == 4).any()


def test_a_changed_choice_draws_what_it_opens_and_closes_the_rest() -> None:
    encoding, rng = Encoding(CONDITIONAL.parameters()), np.random.default_rng(2)
    parent = encoding.encode([{"optimizer": "adam", "optimizer.adam.decay": 0.3, "width": 16}])
    children = [encoding.decode(row) for row in changed_rows(encoding, rng, parent, 300)]
    switched = [child for child in children if child["optimizer"] == "sgd"]
    assert len(switched) > 20
    assert all(set(child) == {"optimizer", "optimizer.sgd.momentum", "width"} for child in switched)
    assert len({child["optimizer.sgd.momentum"] for child in switched}) > 0.9 * len(switched)


def test_features_put_equal_values_together_and_unlike_options_one_apart() -> None:
    space = ToySpace(
        (
            Parameter("kind", Options(("a", "b", "c"))),
            Parameter("kernel", Options((3, 5, 7))),
            Parameter("rate", RealRange(1e-4, 1e-2, log=True)),
        )
    )
    encoding = Encoding(space.parameters())
    rows = encoding.encode(
        [
            {"kind": "a", "kernel": 3, "rate": 1e-4},
            {"kind": "b", "kernel": 3, "rate": 1e-4},
            {"kind": "a", "kernel": 7, "rate": 1e-4},
            {"kind": "a", "kernel": 5, "rate": 1e-3},
        ]
    )
    features = encoding.features(rows)
    distances = np.linalg.norm(features - features[0], axis=1)
    # A rate in the middle of its range: half of the range away, and 1 on the parabola.
    np.testing.assert_allclose(distances, [0.0, 1.0, 1.0, np.sqrt(0.25 + 0.25 + 1.0)])
    assert encoding.groups().tolist() == [0, 0, 0, 1, 2, 2]


def test_a_prefix_chooses_parameters() -> None:
    encoding = Encoding(CONDITIONAL.parameters())
    rows = encoding.encode(
        [
            {"optimizer": "adam", "optimizer.adam.decay": 0.3, "width": 16},
            {"optimizer": "adam", "optimizer.adam.decay": 0.9, "width": 16},
            {"optimizer": "sgd", "optimizer.sgd.momentum": 0.3, "width": 24},
        ]
    )
    keys = encoding.keys(rows, "width")
    assert [key == keys[0] for key in keys] == [True, True, False]
    assert encoding.features(rows, "width").shape == (3, 2)
    assert encoding.features(rows, "nothing").shape == (3, 0)


def test_a_closed_parameter_is_as_far_from_both_ends() -> None:
    encoding = Encoding(CONDITIONAL.parameters())
    rows = encoding.encode(
        [
            {"optimizer": "adam", "optimizer.adam.decay": 0.0, "width": 16},
            {"optimizer": "adam", "optimizer.adam.decay": 1.0, "width": 16},
            {"optimizer": "sgd", "optimizer.sgd.momentum": 0.45, "width": 16},
        ]
    )
    low, high, closed = encoding.features(rows)
    assert np.linalg.norm(low - closed) == pytest.approx(np.linalg.norm(high - closed))
    assert np.linalg.norm(low - closed) > 1
