"""The key ``score``: what a sweep maximises in place of the challenge's Final Score."""

from typing import Annotated

from pydantic import AfterValidator, Field

from sweep.judging.own_score import ScoreError, load_score
from sweep.space.forms import Line, fail
from sweep.space.problems import show


def _usable(path: str) -> str:
    try:
        load_score(path)
    except ScoreError as error:
        fail(Line((), f"{show(path)}: {error.found}", error.allowed))
    return path


OwnScore = Annotated[str, Field(strict=True), AfterValidator(_usable)]
"""``package.module:Class``; see `sweep.judging.own_score.load_score` for what is asked of the class."""
