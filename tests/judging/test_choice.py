"""Which of several files speaks for a training."""

from hypothesis import given
from hypothesis import strategies as st

from sweep.judging.choice import best, fastest, may_be_fastest

figures = st.floats(0.1, 1000) | st.sampled_from([1.0, 2.0])
perhaps = st.lists(st.none() | figures, max_size=8)
intervals = st.tuples(figures, figures).map(sorted).map(tuple)


@given(perhaps)
def test_the_best_is_the_first_of_the_highest_scores_that_are_there(scores):
    known = [score for score in scores if score is not None]
    expected = scores.index(max(known)) if known else None
    assert best(scores) == expected


@given(perhaps)
def test_the_fastest_is_the_first_of_the_lowest_latencies_that_are_there(latencies):
    known = [latency for latency in latencies if latency is not None]
    assert fastest(latencies) == (latencies.index(min(known)) if known else None)


@given(perhaps, st.data())
def test_what_is_out_never_matters(scores, data):
    place = data.draw(st.integers(0, len(scores)))
    chosen = best(scores)
    shifted = None if chosen is None else chosen + (place <= chosen)
    assert best([*scores[:place], None, *scores[place:]]) == shifted


@given(st.lists(st.none() | intervals, max_size=8))
def test_whoever_may_be_the_fastest_has_no_interval_wholly_below_its_own(found):
    expected = tuple(
        place
        for place, own in enumerate(found)
        if own is not None and not any(other is not None and other[1] < own[0] for other in found)
    )
    assert may_be_fastest(found) == expected
    assert bool(expected) == any(interval is not None for interval in found)
