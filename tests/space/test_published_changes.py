"""Published encoders: one spelling for each architecture, and searches over them that are counted exactly."""

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from space_documents import problems_of, put, small_document, space_of

from sweep.space.candidate import (
    Architecture,
    GhostNet,
    MobileNetV3Large,
    MobileNetV3Minimal,
    PublishedEncoder,
    StageChange,
    canonical_hash,
)
from sweep.space.encoders import STAGE_STRIDES
from sweep.space.fields import kind_of
from sweep.space.resolved import resolve_stages, resolve_stem

LARGE = {"kind": "mobilenetv3_large", "width": 1.0, "stages": 4}


@pytest.mark.parametrize(
    "nothing",
    [
        {"stage1": {}},
        {"stage5": {"depth": 4, "kernel": 7}},  # cut off
        {"depth": 1.0},
        {"stage2": {"width": 1}},
        {"stage3": {"kernel": 5, "depth": 3, "squeeze_excite": True, "activation": "relu"}},  # as published
        {"stage1": {"kernel": 3}, "stage2": {"activation": "relu", "squeeze_excite": False}},
    ],
)
def test_what_changes_nothing_is_no_other_architecture(nothing: dict[str, Any]) -> None:
    plain = MobileNetV3Large.model_validate(LARGE)
    spelled = MobileNetV3Large.model_validate(LARGE | nothing)
    assert spelled == plain
    assert canonical_hash(spelled) == canonical_hash(plain)
    assert spelled.model_dump() == LARGE


def test_a_change_for_all_stages_that_repeats_the_network_is_none() -> None:
    minimal = MobileNetV3Minimal.model_validate(
        {
            "kind": "mobilenetv3_minimal",
            "width": 0.5,
            "stages": 6,
            "kernel": 3,
            "squeeze_excite": False,
            "activation": "relu",
        }
    )
    assert minimal.model_dump() == {"kind": "mobilenetv3_minimal", "width": 0.5, "stages": 6}


def test_a_stage_repeats_what_the_encoder_says_for_all() -> None:
    ghost = GhostNet.model_validate(
        {
            "kind": "ghostnet",
            "width": 1,
            "stages": 4,
            "kernel": 7,
            "depth": 2.0,
            "stage2": {"kernel": 7, "depth": 4},
            "stage3": {"kernel": 5},
        }
    )
    assert ghost.stage2 is None
    assert ghost.stage3 == StageChange(kernel=5)  # as published, but not what the encoder says


changes = st.fixed_dictionaries(
    {},
    optional={
        "depth": st.integers(1, 4),
        "width": st.sampled_from([0.5, 1.0, 2.0]),
        "kernel": st.sampled_from([3, 5]),
        "expansion": st.sampled_from([1.0, 3.0, 6.0]),
        "squeeze_excite": st.booleans(),
        "activation": st.sampled_from(["relu", "hard_swish"]),
    },
)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_the_plainest_spelling_builds_the_network_that_was_asked_for(data: st.DataObject) -> None:
    """What was dropped would not have changed a block: the network is resolved from what was said."""
    kind = data.draw(st.sampled_from(sorted(STAGE_STRIDES)))
    there = len(STAGE_STRIDES[kind])
    said = data.draw(changes.map(lambda c: {k: v for k, v in c.items() if k not in ("width", "depth")}))
    said |= {f"stage{n}": data.draw(changes) for n in data.draw(st.sets(st.integers(1, 7), max_size=3))}
    said |= {"kind": kind, "width": 1.0, "stages": data.draw(st.integers(2, there))}
    model = next(model for model in PublishedEncoder.__subclasses__() if kind_of(model) == kind)
    normal = model.model_validate(said)
    changed = {
        name: StageChange(**value) if name.startswith("stage") and isinstance(value, dict) else value
        for name, value in said.items()
    }
    as_said = model.model_construct(**dict.fromkeys(model.model_fields) | changed)
    assert resolve_stem(normal) == resolve_stem(as_said)
    assert resolve_stages(normal) == resolve_stages(as_said)
    assert model.model_validate(normal.model_dump()) == normal


def searched(encoder: dict[str, Any], stride: int = 1) -> dict[str, Any]:
    document = put(small_document(), "architecture.encoder", encoder)
    return put(document, "architecture.output.stride", stride)


def test_stages_that_are_cut_off_are_counted_once() -> None:
    encoder = {
        "kind": "mobilenetv2",
        "width": 1,
        "stages": {"int": [2, 4]},
        "stage3": {"kernel": {"choose": [3, 5]}},
        "stage4": {"depth": {"int": [1, 3]}},
    }
    space = space_of(searched(encoder))
    architectures = {
        space.candidate(
            {
                "architecture.encoder.stages": stages,
                "architecture.encoder.stage3.kernel": kernel,
                "architecture.encoder.stage4.depth": depth,
                "recipe.learning_rate": 1e-3,
            }
        ).architecture_hash
        for stages, kernel, depth in itertools.product((2, 3, 4), (3, 5), (1, 2, 3))
    }
    assert space.architectures() == len(architectures) == 1 + 2 + 2 * 3


def test_a_whole_change_of_a_stage_can_be_chosen_or_not() -> None:
    encoder = {**LARGE, "stage2": {"choose": {"same": {}, "deep": {"depth": 4}}}}
    space = space_of(searched(encoder))
    assert space.architectures() == 2
    same = space.candidate({"architecture.encoder.stage2": "same", "recipe.learning_rate": 1e-3})
    assert same.architecture.encoder == MobileNetV3Large.model_validate(LARGE)
    assert space.assignment_of(same)["architecture.encoder.stage2"] == "same"


def test_options_that_say_the_same_in_other_words_overlap() -> None:
    encoder = {**LARGE, "stage2": {"choose": {"same": {}, "again": {"width": 1.0}}}}
    assert problems_of(searched(encoder)) == [
        "small.yaml: architecture.encoder.stage2: found options again and same, which can make the same values; "
        "allowed: options that differ in at least one key"
    ]


def test_an_encoder_without_so_many_stages_is_explained() -> None:
    (line,) = problems_of(searched({**LARGE, "stages": {"int": [5, 7]}}))
    assert line.startswith(
        "small.yaml: architecture.encoder.stages: found 7, which is impossible with all the rest "
        "(mobilenetv3_large has 6 stages, so 7 cannot be kept)"
    )


RANGE = {"float": [0, 1]}
WEIGHTS = ["silog", "gradient", "l1", "l2", "si_rmse", "plain_gradient", "virtual_normal", "robust", "ssim"]


def everything() -> dict[str, Any]:
    """All losses as ranges, distillation, quantization, and all encoders with all of their stages searched."""
    document = small_document()
    change = {
        "depth": {"int": [1, 4]},
        "kernel": {"choose": [3, 5, 7]},
        "expansion": {"choose": [2, 3, 6]},
        "squeeze_excite": {"choose": [False, True]},
    }
    encoders = {
        kind: {"stages": {"int": [2, len(strides)]}}
        | {f"stage{n}": change for n in range(1, len(strides) + 1)}
        for kind, strides in STAGE_STRIDES.items()
    }
    own = document["architecture"]["encoder"]
    encoders["mobilenetv3"] = {key: own[key] for key in own if key not in ("kind", "width")}
    put(document, "architecture.encoder", {"choose": encoders, "width": {"choose": [0.5, 1]}})
    put(document, "architecture.input.height", {"int": [64, 480]})
    put(document, "architecture.input.width", {"int": [64, 640]})
    put(document, "architecture.output.stride", {"choose": [1, 2, 4, 8]})
    put(document, "recipe.loss", dict.fromkeys(WEIGHTS, RANGE) | {"silog_lambda": 0.85})
    put(document, "recipe.quantization", {"choose": {"none": {}, "aware": {"start": 0.5}}})
    guided = {"start": {"choose": [0, 0.5]}, "depth": RANGE, "features": RANGE, "pairwise": RANGE}
    put(document, "recipe.distillation", {"choose": {"none": {}, "teacher": guided}})
    return document | {"teacher": {"candidate": "teacher.yaml"}}


def test_a_space_of_everything_is_counted_by_trying_few_combinations(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    validate = Architecture.model_validate.__func__

    def counted(cls: type[Architecture], value: Any) -> Architecture:
        tried.append(value)
        return validate(cls, value)

    monkeypatch.setattr(Architecture, "model_validate", classmethod(counted))
    space = space_of(everything())
    assert len(tried) <= 4 * 4 * 4 * 4  # what strides see of height and width, the encoder's and the output's
    heights, widths = range(64, 481, 16), range(64, 641, 16)
    expected = 0
    for strides in (*STAGE_STRIDES.values(), (4, 8, 16)):
        for stages in range(2, len(strides) + 1) if len(strides) > 3 else [3]:
            stride = strides[stages - 1]
            inputs = sum(h % stride == 0 and w % stride == 0 for h in heights for w in widths)
            outputs = sum(output < stride for output in (1, 2, 4, 8))
            changes_of_stages = (4 * 3 * 3 * 2) ** stages if len(strides) > 3 else 1
            expected += inputs * outputs * 2 * changes_of_stages
    assert space.architectures() == expected


def test_nine_weights_with_many_values_each_are_counted_exactly() -> None:
    values = {"choose": [0, 0.1, 0.25, 0.5, 1]}
    document = put(small_document(), "recipe.loss", dict.fromkeys(WEIGHTS, values) | {"silog_lambda": 0.85})
    analysis = space_of(put(document, "recipe.learning_rate", 1e-3)).recipe_analysis
    assert (analysis.possible, analysis.impossible) == (5**9 - 1, 1)


def test_guidance_of_features_is_impossible_with_quantization_alone() -> None:
    document = put(small_document(), "recipe.learning_rate", 1e-3) | {"teacher": {"candidate": "t.yaml"}}
    zero_or_one = {"choose": [0, 1]}
    guided = {"start": 0, "depth": zero_or_one, "features": zero_or_one, "pairwise": zero_or_one}
    put(document, "recipe.distillation", {"choose": {"none": {}, "teacher": guided}})
    put(document, "recipe.quantization", {"choose": {"none": {}, "aware": {"start": {"choose": [0, 0.5]}}}})
    analysis = space_of(document).recipe_analysis
    floating, quantized = 1 + 7, 2 * (1 + 1)  # no teacher, any guidance; no teacher, guidance of depth alone
    assert (analysis.possible, analysis.impossible) == (floating + quantized, 3 * 9 - floating - quantized)
