"""Parts from other packages: found in a file, checked, searchable, counted, and offered in the schema."""

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from space_documents import problems_of, put, small_document, space_of

from sweep.space import IntegerRange, Options, Parameter, RandomSuggest, RealRange, json_schema
from sweep.space.candidate import Candidate, canonical_hash

CODE = '''
"""Parts of somebody's own."""

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from sweep.space.candidate import OwnBlock, OwnDecoder, OwnEncoder, OwnLoss
from sweep.space.parts import exactly, maybe


class Ladder(OwnEncoder):
    """An encoder."""

    kind: Literal["ladders.parts:Ladder"]
    steps: int = Field(ge=2, le=5)
    width: int = Field(ge=8, le=64, multiple_of=8)
    wobble: float | None = maybe("How much.", ge=0, le=1)

    constrained = {"steps": exactly, "width": exactly}

    @property
    def stride(self) -> int:
        return 2**self.steps

    @model_validator(mode="after")
    def _steady(self) -> Self:
        if self.steps > 4 and self.width > 16:
            raise ValueError("a high ladder must be narrow")
        return self

    def build(self):
        raise NotImplementedError


class Rung(OwnBlock):
    kind: Literal["ladders.parts:Rung"]
    slack: float = Field(ge=0, le=1)

    def build(self, in_channels, out_channels, *, hidden, kernel, stride, squeeze_excite, activation):
        raise NotImplementedError


class Down(OwnDecoder):
    kind: Literal["ladders.parts:Down"]
    width: int = Field(ge=8, le=256, multiple_of=8)

    def build(self, encoder_channels, output_stride):
        raise NotImplementedError


class Fear(OwnLoss):
    kind: Literal["ladders.parts:Fear"]

    def __call__(self, prediction, target, valid):
        raise NotImplementedError


class Unfinished(OwnEncoder):
    kind: Literal["ladders.parts:Unfinished"]


class Renamed(Fear):
    pass


class Listy(OwnDecoder):
    kind: Literal["ladders.parts:Listy"]
    widths: list[int]

    def build(self, encoder_channels, output_stride):
        raise NotImplementedError


no_class = 3
'''


@pytest.fixture(autouse=True, scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("own")
    (root / "ladders").mkdir()
    (root / "ladders" / "__init__.py").touch()
    (root / "ladders" / "parts.py").write_text(textwrap.dedent(CODE))
    (root / "ladders" / "broken.py").write_text("import no_such_module\n")
    sys.path.append(str(root))
    yield root
    sys.path.remove(str(root))
    for name in [name for name in sys.modules if name.partition(".")[0] == "ladders"]:
        del sys.modules[name]


LADDER = {"kind": "ladders.parts:Ladder", "steps": 4, "width": 16}


def with_encoder(encoder: object) -> dict[str, Any]:
    return put(small_document(), "architecture.encoder", encoder)


def test_an_own_encoder_is_fixed_like_any_other() -> None:
    space = space_of(with_encoder(LADDER))
    candidate = space.candidate({"recipe.learning_rate": 1e-3})
    encoder = candidate.architecture.encoder
    assert (type(encoder).__name__, encoder.stride, encoder.model_dump()) == ("Ladder", 16, LADDER)
    assert [part.__name__ for part in space.own] == ["Ladder"]
    again = Candidate.model_validate(candidate.model_dump(mode="json"))
    assert again == candidate
    assert again.hash == candidate.hash == canonical_hash(candidate)


def test_its_keys_are_searched_beside_those_of_built_in_kinds() -> None:
    document = with_encoder(
        {
            "choose": {
                "ladders.parts:Ladder": {"steps": {"int": [2, 5]}, "width": {"choose": [16, 32]}},
                "ghostnet": {"width": 0.5, "stages": {"int": [4, 6]}},
            }
        }
    )
    space = space_of(document)
    encoder = "architecture.encoder"
    own = f"{encoder}.ladders.parts:Ladder"
    expected = {
        encoder: Options(("ghostnet", "ladders.parts:Ladder")),
        f"{own}.steps": IntegerRange(2, 5),
        f"{own}.width": Options((16, 32)),
        f"{encoder}.ghostnet.stages": IntegerRange(4, 6),
    }
    found = {p.path: p for p in space.parameters() if p.path.startswith(encoder)}
    assert {path: p.domain for path, p in found.items()} == expected
    assert str(found[f"{own}.steps"].condition) == f"{encoder}: ladders.parts:Ladder"
    for seed in range(20):
        assignment, candidate = space.draw(RandomSuggest(seed))
        assert space.assignment_of(candidate) == assignment


def test_what_its_validators_and_its_stride_rule_out_is_counted() -> None:
    document = with_encoder({**LADDER, "steps": {"int": [2, 5]}, "width": {"int": [8, 32], "step": 8}})
    put(document, "architecture.output.stride", {"choose": [2, 4]})
    put(document, "architecture.input", {"height": {"choose": [96, 112]}, "width": 128, "resize": "pooled"})
    possible = impossible = 0
    for steps in (2, 3, 4, 5):
        for width in (8, 16, 24, 32):
            for output in (2, 4):
                for height in (96, 112):
                    steady = steps <= 4 or width <= 16
                    fits = height % 2**steps == 0 and output < 2**steps
                    possible, impossible = possible + (steady and fits), impossible + (not (steady and fits))
    analysis = space_of(document).architecture_analysis
    assert (analysis.possible, analysis.impossible) == (possible, impossible)
    assert "a high ladder must be narrow" in analysis.reasons


def test_own_blocks_stand_in_stages_and_in_changes_of_stages() -> None:
    rung = {"kind": "ladders.parts:Rung", "slack": {"float": [0, 1]}}
    document = put(small_document(), "architecture.encoder.stage1.block", rung)
    block = "architecture.encoder.stage1.block"
    assert space_of(document).parameters()[0] == Parameter(f"{block}.slack", RealRange(0, 1))
    changed = {"kind": "ghostnet", "width": 1, "stages": 4, "stage2": {"block": {**rung, "slack": 0.5}}}
    candidate = space_of(with_encoder(changed)).candidate({"recipe.learning_rate": 1e-3})
    assert candidate.model_dump()["architecture"]["encoder"]["stage2"] == {
        "block": {"kind": "ladders.parts:Rung", "slack": 0.5}
    }
    both = {"choose": {"plain": {}, "own": {"block": {**rung, "slack": 0.5}}}}
    assert space_of(with_encoder({**changed, "stage2": both})).architectures() == 2


def test_an_own_loss_is_a_loss() -> None:
    own = {"kind": "ladders.parts:Fear", "weight": {"choose": [0.5, 1]}}
    document = put(small_document(), "recipe.loss", {"own": own})
    space = space_of(put(document, "recipe.learning_rate", 1e-3))
    assert space.recipe_analysis.possible == 2
    found = space.candidate({"recipe.loss.own.weight": 0.5}).recipe.loss.own
    assert found is not None
    assert found.model_dump() == {"kind": "ladders.parts:Fear", "weight": 0.5}


def test_keys_beside_choose_hold_for_own_kinds_too() -> None:
    kinds = {"ladders.parts:Down": {}, "add": {"upsampling": "nearest"}}
    document = put(small_document(), "architecture.decoder", {"choose": kinds, "width": {"choose": [8, 16]}})
    space = space_of(document)
    assert space.architectures() == 4
    assert Parameter("architecture.decoder.width", Options((8, 16))) in space.parameters()


PLACE = "architecture.encoder"
ASKED = "allowed: package.module:Class, a subclass of sweep.space.encoders.OwnEncoder"


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("nowhere.parts:Ladder", "an error (ModuleNotFoundError: No module named"),
        ("ladders.parts:Snake", "an error (AttributeError: module 'ladders.parts'"),
        ("ladders.broken:Ladder", "an error (ModuleNotFoundError: No module named 'no_such_module')"),
        ("ladders.parts:no_class", "no subclass of sweep.space.encoders.OwnEncoder"),
        ("ladders.parts:Down", "no subclass of sweep.space.encoders.OwnEncoder"),
        ("ladders.parts:Unfinished", "a class without build, stride of sweep.space.encoders.OwnEncoder"),
        ("ladders parts:Ladder", "no import path"),
    ],
)
def test_a_class_that_cannot_be_used_is_explained(kind: str, found: str) -> None:
    (fixed,) = problems_of(with_encoder({"kind": kind}))
    assert fixed.startswith(f'small.yaml: {PLACE}.kind: found "{kind}" ({found}')
    assert fixed.endswith(ASKED)
    (chosen,) = problems_of(with_encoder({"choose": {kind: {}}}))
    assert chosen.startswith(f'small.yaml: {PLACE}.choose.{kind}: found "{kind}" ({found}')


def test_a_kind_that_its_class_does_not_declare_is_explained() -> None:
    loss = {"own": {"kind": "ladders.parts:Renamed", "weight": 1}}
    (line,) = problems_of(put(small_document(), "recipe.loss", loss))
    assert line.startswith(
        'small.yaml: recipe.loss.own.kind: found "ladders.parts:Renamed" (a class of kind '
        'ladders.parts:Fear; it must declare kind: Literal["ladders.parts:Renamed"])'
    )


def test_a_key_that_cannot_be_searched_is_explained() -> None:
    (line,) = problems_of(put(small_document(), "architecture.decoder", {"kind": "ladders.parts:Listy"}))
    assert line.startswith(
        'small.yaml: architecture.decoder.kind: found "ladders.parts:Listy" (ListyWidths: list'
    )


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (
            {"steps": 9},
            "steps: found 9; allowed: an integer from 2 up to 5, or {choose: [...]}, or {int: [low",
        ),
        (
            {"stepz": 9},
            "stepz: found an unknown key; allowed: kind, steps, width, wobble (did you mean steps?)",
        ),
        ({"wobble": None}, "wobble: found null; allowed: a number from 0 up to 1"),
    ],
)
def test_wrong_keys_of_an_own_part_are_explained_like_all_others(keys: dict[str, Any], line: str) -> None:
    assert problems_of(with_encoder({**LADDER, **keys}))[0].startswith(f"small.yaml: {PLACE}.{line}")


def test_own_kinds_are_refused_where_there_can_be_none() -> None:
    (line,) = problems_of(put(small_document(), "recipe.optimizer", {"kind": "ladders.parts:Fear"}))
    assert line.startswith("small.yaml: recipe.optimizer: found")
    assert "NAME one of adam, adamw, sgd" in line


def test_without_own_parts_the_key_of_one_says_what_it_wants() -> None:
    for value in ("relu", {"kind": "relu"}, {}):
        lines = problems_of(put(small_document(), "architecture.encoder.stage1.block", value))
        assert "package.module:Class (a subclass of sweep.space.encoders.OwnBlock)" in lines[0]


def test_the_schema_offers_own_parts_wherever_they_may_stand() -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    rung = {"kind": "ladders.parts:Rung", "slack": {"float": [0, 1]}}
    fine = [
        with_encoder(LADDER),
        with_encoder(
            {"choose": {"ladders.parts:Ladder": {"steps": 3}, "ghostnet": {"width": 1, "stages": 3}}}
        ),
        put(small_document(), "architecture.encoder.stage1.block", rung),
        put(small_document(), "architecture.decoder", {"kind": "ladders.parts:Down", "width": 8}),
        put(small_document(), "recipe.loss", {"own": {"kind": "ladders.parts:Fear", "weight": 1}}),
    ]
    for document in fine:
        validator.validate(document)
    wrong = [
        with_encoder({"kind": "ladder"}),
        with_encoder({"choose": {"ladder": {}}}),
        put(small_document(), "architecture.encoder.stage1.block", {"kind": "rung"}),
        put(small_document(), "recipe.optimizer", {"kind": "ladders.parts:Fear"}),
    ]
    assert not any(validator.is_valid(document) for document in wrong)
