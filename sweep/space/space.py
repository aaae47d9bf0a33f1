"""The search space: from a document to parameters, samples and candidates."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from pydantic import ValidationError

from sweep.space.assignment import Assignment, coerced, misfits
from sweep.space.candidate import Candidate, canonical_hash
from sweep.space.candidate_file import CandidateFile, PublishedRow
from sweep.space.document import CandidatesDocument, Document, SearchDocument
from sweep.space.domain import Options, Parameter, Primitive, Suggest
from sweep.space.inverse import assignment_of
from sweep.space.parts import OwnPart
from sweep.space.possible import Analysis, analyse, overlapping_options, reason_of
from sweep.space.problems import ImpossibleCandidate, Problem, SpaceError, show
from sweep.space.tree import Branch, Group, Node, build, canonical, fixed, parameters, resolve, restricted

_MOST_DRAWS = 10_000
CANDIDATE = "candidate"
_LAST_RESIZE = "architecture.output.upsampling"


@dataclass(frozen=True)
class Space:
    """A validated search space.

    Attributes:
        document: the whole file, typed.
        text: the file's text, to be kept with what was found in it; `sweep.space.load.parse_space` reads it again.
        file: its name, for messages.
        tree: architecture and recipe as plain data.
        architecture_analysis: possible and impossible combinations of the architecture.
        recipe_analysis: likewise of the recipe.
        own: the parts of other packages that it names.
        published: what reports say of candidates, by the value of the parameter ``candidate``; of a folder alone.
        notes: what a person should be told who asked for this space, a sentence each.
    """

    document: Document
    text: str
    file: str
    tree: Group | Branch
    architecture_analysis: Analysis
    recipe_analysis: Analysis
    own: tuple[type[OwnPart], ...] = ()
    published: Mapping[str, PublishedRow] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, document: SearchDocument, text: str, file: str, own: tuple[type[OwnPart], ...] = ()
    ) -> "Space":
        """Build and check a space.

        Raises:
            SpaceError: options of a choice overlap, values are always impossible, or an entry of
                ``start_from`` does not fit.
        """
        architecture = build(document.architecture, "architecture")
        recipe = build(document.recipe, "recipe")
        tree = Group({"architecture": architecture, "recipe": recipe})
        return cls(document, text, file, tree, analyse(architecture), analyse(recipe), own)._checked()

    @classmethod
    def of_candidates(
        cls, document: CandidatesDocument, files: Mapping[str, CandidateFile], text: str, file: str
    ) -> "Space":
        """The space whose only parameter, ``candidate``, is the name of one of ``files``.

        Raises:
            SpaceError: two files are of one candidate, or an entry of ``start_from`` does not fit.
        """
        candidates = {name: files[name].candidate for name in sorted(files)}
        options = {name: Group(_fields(candidate)) for name, candidate in candidates.items()}
        tree = Branch(Parameter(CANDIDATE, Options(tuple(options))), options, Group({}))
        architectures = {candidate.architecture_hash for candidate in candidates.values()}
        recipes = {canonical_hash(candidate.recipe) for candidate in candidates.values()}
        analyses = Analysis.of_possible(len(architectures)), Analysis.of_possible(len(recipes))
        published = {name: row for name in candidates if (row := files[name].published)}
        own = tuple(dict.fromkeys(part for name in candidates for part in files[name].own))
        return cls(document, text, file, tree, *analyses, own=own, published=published)._checked()

    def _checked(self) -> "Space":
        problems = list(self._problems())
        if problems:
            raise SpaceError(problems)
        return self

    @property
    def name(self) -> str:
        """The name that the file gives."""
        return self.document.name

    @property
    def hash(self) -> str:
        """Sixteen hexadecimal digits: the identity of what is searched and how trials are compared.

        It covers architecture, recipe, target, export, constraints, score, rungs and max_epochs; equal for equal
        spaces, however they were spelled. Name, description, number of trials, time limit, sampler, admission,
        finalists, start_from, warm_start and keep say how long and in which order to look, and are left out.
        """
        document = self.document
        identity = {
            "space": canonical(self.tree),
            **self._measured_on(),
            "rungs": document.rungs.model_dump(mode="json") if document.rungs else None,
            "constraints": sorted(map(str, document.constraints)),
            "max_epochs": document.budget.max_epochs,
        }
        if document.score is not None:
            identity["score"] = document.score
        text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _measured_on(self) -> dict[str, object]:
        """The target with the first setting tried, and what else is tried, if anything is."""
        tried = self.document.exports
        first = {"threads": tried.settings[0].threads, "delegate": tried.settings[0].delegate}
        target = {**self.document.target.model_dump(mode="json"), **first}
        return {"target": target} if tried.is_plain else {"target": target, "export": tried.to_json()}

    @property
    def start_from(self) -> tuple[Assignment, ...]:
        """The first trials, as (possibly partial) assignments."""
        known = self.parameters()
        return tuple(coerced(known, entry) for entry in self.document.start_from)

    def fitted(self, assignment: Mapping[str, Primitive], where: str) -> Assignment:
        """A (possibly partial) assignment from elsewhere, with every value as its domain holds it.

        Raises:
            SpaceError: it does not fit; ``where`` stands before the parameters' names.
        """
        problems = list(self._unfit_start(where, assignment))
        if problems:
            raise SpaceError(problems)
        return coerced(self.parameters(), assignment)

    def for_finalizing(self, trials: int, epochs: int) -> "Space":
        """This space for ``trials`` full trainings of chosen candidates: no early stopping, no time limit."""
        document = self.document.with_budget(trials, epochs, None)
        budget = document.budget.model_copy(update={"time_s": None})
        changes = {"budget": budget, "rungs": None, "keep": trials}
        return replace(self, document=document.model_copy(update=changes))

    def parameters(self) -> tuple[Parameter, ...]:
        """Every searched value, each after the choice that opens it."""
        return tuple(parameters(self.tree))

    def sample(self, suggest: Suggest) -> Assignment:
        """Ask ``suggest`` for each parameter that exists, choices before what they open.

        The assignment may be impossible: `candidate` says so.
        """
        assignment: Assignment = {}

        def ask(parameter: Parameter) -> Primitive:
            value = parameter.domain.coerce(parameter.domain.ask(suggest, parameter.path))
            assignment[parameter.path] = value
            return value

        resolve(self.tree, ask)
        return assignment

    def candidate(self, assignment: Mapping[str, Primitive]) -> Candidate:
        """The candidate that a complete assignment spells.

        Raises:
            SpaceError: a name is unknown, closed or missing, or a value is out of its domain.
            ImpossibleCandidate: the values fit one by one, but the combination cannot exist.
        """
        wrong = misfits(self.parameters(), assignment, self.file)
        if wrong:
            raise SpaceError(wrong)
        values = resolve(self.tree, lambda parameter: parameter.domain.coerce(assignment[parameter.path]))
        try:
            return Candidate.model_validate(values)
        except ValidationError as error:
            raise ImpossibleCandidate(reason_of(error), assignment) from None

    def assignment_of(self, candidate: Candidate) -> Assignment:
        """The complete assignment that spells ``candidate``: the inverse of `candidate`.

        Raises:
            SpaceError: it names the first key whose value this space cannot express.
        """
        return assignment_of(self.tree, candidate, self.file)

    def draw(self, suggest: Suggest) -> tuple[Assignment, Candidate]:
        """Sample until the candidate is possible.

        Raises:
            ImpossibleCandidate: not even ten thousand samples held a possible one.
        """
        for _ in range(_MOST_DRAWS - 1):
            assignment = self.sample(suggest)
            try:
                return assignment, self.candidate(assignment)
            except ImpossibleCandidate:
                continue
        assignment = self.sample(suggest)
        return assignment, self.candidate(assignment)

    def architectures(self) -> int | None:
        """The exact number of distinct possible architectures; None when a range of floats makes it infinite."""
        count = self.architecture_analysis.possible
        return None if math.isinf(count) else int(count)

    def with_budget(
        self, trials: int | None = None, max_epochs: int | None = None, time_s: int | None = None
    ) -> "Space":
        """This space with other limits; None keeps the file's. The last rung follows ``max_epochs``."""
        return replace(self, document=self.document.with_budget(trials, max_epochs, time_s))

    def _problems(self) -> Iterator[Problem]:
        yield from self._overlaps()
        yield from self._searched_twice()
        for part, analysis in (
            ("architecture", self.architecture_analysis),
            ("recipe", self.recipe_analysis),
        ):
            yield from self._impossible(part, analysis)
        for index, entry in enumerate(self.document.start_from):
            yield from self._unfit_start(f"start_from.{index}", entry)

    def _overlaps(self) -> Iterator[Problem]:
        for path, one, other in overlapping_options(self.tree):
            found = f"options {one} and {other}, which can make the same values"
            yield Problem(self.file, path, found, "options that differ in at least one key")

    def _searched_twice(self) -> Iterator[Problem]:
        """Networks that differ in a last resize which the export tries anyway would be trained apart."""
        tried = self.document.exports.output_upsampling
        searched = any(parameter.path == _LAST_RESIZE for parameter in self.parameters())
        if tried and searched:
            allowed = f"nothing here, or one value for {_LAST_RESIZE}, which is searched as well"
            yield Problem(self.file, "export.output_upsampling", show(list(tried)), allowed)

    def _impossible(self, part: str, analysis: Analysis) -> Iterator[Problem]:
        if not analysis.possible:
            where = ", ".join(analysis.constrained) or part
            found = f"only impossible combinations ({analysis.reasons[0]})"
            yield Problem(self.file, where, found, "at least one possible combination")
            return
        for path, value, reason in analysis.never_possible:
            found = f"{show(value)}, which is impossible with all the rest ({reason})"
            yield Problem(self.file, path, found, "values that some candidate can have")

    def _unfit_start(self, where: str, entry: Mapping[str, Primitive]) -> Iterator[Problem]:
        wrong = misfits(self.parameters(), entry, self.file, prefix=f"{where}.", partial=True)
        yield from wrong
        if wrong:
            return
        if isinstance(self.tree, Branch):
            return
        for part in self.tree.fields.values():
            analysis = analyse(restricted(part, entry))
            if not analysis.possible:
                found = f"an impossible combination ({analysis.reasons[0]})"
                yield Problem(self.file, where, found, "values that some candidate can have")


def _fields(candidate: Candidate) -> Mapping[str, Node]:
    return {part: fixed(value) for part, value in candidate.model_dump(mode="json").items()}
