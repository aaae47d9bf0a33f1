"""Search spaces: a typed YAML language over the candidate model.

A space file gives every field of `Candidate` a value, a choice or a range (see docs/search-spaces.md).
`load_space` checks it; a `Space` then lists its parameters, draws assignments through a `Suggest` and turns
an assignment into a candidate. Nothing here knows an optimiser, a network library or a device.
"""

from sweep.space.assignment import Assignment
from sweep.space.candidate import Candidate
from sweep.space.candidate_file import CandidateFile, PublishedRow, candidate_schema, load_candidate
from sweep.space.document import Document, json_schema
from sweep.space.domain import (
    Condition,
    Domain,
    IntegerRange,
    Options,
    Parameter,
    Primitive,
    RealRange,
    Suggest,
)
from sweep.space.duration import format_duration, parse_duration
from sweep.space.exports import ExportChoices, InferenceSetting
from sweep.space.load import bundled_spaces, load_candidates, load_space, parse_space
from sweep.space.problems import ImpossibleCandidate, Problem, SpaceError
from sweep.space.space import Space
from sweep.space.suggest import FixedSuggest, RandomSuggest

__all__ = [
    "Assignment",
    "Candidate",
    "CandidateFile",
    "Condition",
    "Document",
    "Domain",
    "ExportChoices",
    "FixedSuggest",
    "ImpossibleCandidate",
    "InferenceSetting",
    "IntegerRange",
    "Options",
    "Parameter",
    "Primitive",
    "Problem",
    "PublishedRow",
    "RandomSuggest",
    "RealRange",
    "Space",
    "SpaceError",
    "Suggest",
    "bundled_spaces",
    "candidate_schema",
    "format_duration",
    "json_schema",
    "load_candidate",
    "load_candidates",
    "load_space",
    "parse_duration",
    "parse_space",
]
