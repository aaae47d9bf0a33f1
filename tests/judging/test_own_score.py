"""Scores of other packages: loaded by import path, and refused with what was found and what is allowed."""

import own_scores
import pytest

from sweep.judging.own_score import ScoreError, load_score, recorded_score, score_identity, score_key
from sweep.judging.score import FINAL_SCORE, final_score
from sweep.space import SpaceError, load_space, parse_space

CLASS = "a class without arguments with name: str and __call__(si_rmse: float, latency_ms: float) -> float"
NAMES = "up to 32 printable characters, with a letter or digit"
FINITE = "a finite number for every si_rmse of at least 0 and every latency_ms above 0"


@pytest.mark.parametrize("name", ["EdgeScore", "AccuracyFirst", "TheChallengesOwn"])
def test_a_score_of_another_package_is_loaded_by_its_import_path(name: str) -> None:
    path = f"own_scores:{name}"
    score, truth = load_score(path), getattr(own_scores, name)()
    assert score.name == truth.name
    for figures in ((0.31, 46.0), (0.0, 40.0), (0.9, 200.0)):
        assert score(*figures) == truth(*figures)
    identity = {"data": "demo-1", "score": score_identity(path, score)}
    assert identity["score"] == {"class": path, "name": truth.name}
    assert type(recorded_score(identity)) is type(truth)


def test_a_sweep_that_names_no_score_has_the_challenges() -> None:
    assert recorded_score({"data": "demo-1"}) is FINAL_SCORE
    assert (FINAL_SCORE.name, FINAL_SCORE(0.2773, 46)) == ("Final Score", final_score(0.2773, 46))


@pytest.mark.parametrize(
    ("name", "found", "allowed"),
    [
        (
            "Rising",
            "1 at si_rmse 0 and latency_ms 1, above 0.5 at si_rmse 0 and latency_ms 0.5",
            "scores that never rise with latency_ms",
        ),
        ("BlindToLatency", "no fall with latency_ms", "scores that fall with it"),
        ("Endless", "-inf at si_rmse 0 and latency_ms 1000", FINITE),
        (
            "Failing",
            "an error at si_rmse 0 and latency_ms 0.5 (ZeroDivisionError: float division by zero)",
            FINITE,
        ),
        ("Wordy", "'0.0 0.5' at si_rmse 0 and latency_ms 0.5", FINITE),
        ("Impostor", "the name 'final score', which another figure has", NAMES),
        ("Unnamed", "the name '...'", NAMES),
        (
            "Demanding",
            "a class that cannot be made (TypeError: Demanding.__init__() missing 1 required positional "
            "argument: 'weight')",
            CLASS,
        ),
        ("NoScore", "a class without __call__", CLASS),
        ("edge_score", "a function", CLASS),
        ("Nowhere", "an error (AttributeError: module 'own_scores' has no attribute 'Nowhere')", CLASS),
    ],
)
def test_what_a_search_could_not_rely_on_is_refused(name: str, found: str, allowed: str) -> None:
    with pytest.raises(ScoreError) as caught:
        load_score(f"own_scores:{name}")
    assert str(caught.value) == f"own_scores:{name}: found {found}; allowed: {allowed}"


def test_a_name_becomes_a_metrics_key() -> None:
    assert [score_key(name) for name in ("Edge Score", "accuracy / first", "P99+")] == [
        "edge_score",
        "accuracy_first",
        "p99",
    ]


def with_score(path: object) -> str:
    return f"{load_space('mobilenetv3').text}\nscore: {path}\n"


def test_a_space_names_its_score_and_has_another_hash() -> None:
    plain = load_space("mobilenetv3")
    edge, accuracy = (
        parse_space(with_score(f"own_scores:{name}")) for name in ("EdgeScore", "AccuracyFirst")
    )
    assert (plain.document.score, edge.document.score) == (None, "own_scores:EdgeScore")
    assert len({space.hash for space in (plain, edge, accuracy)}) == 3


@pytest.mark.parametrize(
    ("path", "found", "allowed"),
    [
        ("own_scores:BlindToLatency", "no fall with latency_ms", "scores that fall with it"),
        ("nonsense", "no import path", CLASS),
    ],
)
def test_a_space_with_an_unusable_score_is_an_error_at_its_key(path: str, found: str, allowed: str) -> None:
    with pytest.raises(SpaceError) as caught:
        parse_space(with_score(path), "space.yaml")
    (problem,) = caught.value.problems
    assert (problem.file, problem.key_path, problem.allowed) == ("space.yaml", "score", allowed)
    assert found in problem.found
    assert path in problem.found
