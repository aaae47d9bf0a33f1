"""Everything that can be wrong with a space file, each with the exact line that a person reads."""

from pathlib import Path
from typing import Any

import pytest
from space_documents import problems_of, put, small_document, space_of

from sweep.space import SpaceError, load_space

RATE = "a number above 0 up to 10, or {choose: [...]}, or {float: [low, high]}"
DEPTH = "an integer from 1 up to 8, or {choose: [...]}, or {int: [low, high]}"
OPTIMIZER = (
    "{kind: NAME, ...} with NAME one of adam, adamw, sgd, or {choose: {NAME: {...}, ...}} with some of these"
)
LABEL = "a label of letters, digits, _, + and -"


def test_the_small_space_is_valid() -> None:
    assert space_of(small_document()).name == "small"


@pytest.mark.parametrize(
    ("value", "where", "found", "allowed"),
    [
        (0, "", "0", RATE),
        (11, "", "11", RATE),
        ("3", "", '"3"', RATE),
        (True, "", "true", RATE),
        (None, "", "null", RATE),
        ([1, 2], "", "[1, 2]", RATE),
        (float("inf"), "", "Infinity", RATE),
        ({}, "", "{}", RATE),
        ({"flaot": [1, 2]}, "", '{"flaot": [1, 2]}', RATE),
        ({"int": [1, 2]}, "", '{"int": [1, 2]}', RATE),
        ({"float": [2, 1]}, ".float", "[2.0, 1.0]", "[low, high] with low <= high"),
        ({"float": [0, 1]}, ".float.0", "0", "a number above 0 up to 10"),
        ({"float": [1, "2"]}, ".float.1", '"2"', "a number above 0 up to 10"),
        ({"float": [1]}, ".float.1", "nothing", "[low, high]"),
        ({"float": [1, 2, 3]}, ".float", "[1, 2, 3]", "[low, high]"),
        ({"float": 1}, ".float", "1", "[low, high]"),
        ({"float": [1, 2], "log": 1}, ".log", "1", "true or false"),
        ({"float": [1, 2], "lag": True}, ".lag", "an unknown key", "float, log (did you mean log?)"),
        ({"choose": []}, ".choose", "[]", "a list of at least one value, each a number above 0 up to 10"),
        ({"choose": 1}, ".choose", "1", "a list of at least one value, each a number above 0 up to 10"),
        ({"choose": [1, 1.0]}, ".choose", "1.0 twice", "different values"),
        ({"choose": [1, 99]}, ".choose.1", "99", "a number above 0 up to 10"),
        ({"choose": [1], "step": 2}, ".step", "an unknown key", "choose"),
    ],
)
def test_a_wrong_number_is_explained(value: object, where: str, found: str, allowed: str) -> None:
    document = put(small_document(), "recipe.learning_rate", value)
    assert problems_of(document) == [
        f"small.yaml: recipe.learning_rate{where}: found {found}; allowed: {allowed}"
    ]


@pytest.mark.parametrize(
    ("value", "where", "found", "allowed"),
    [
        (1.5, "", "1.5", DEPTH),
        (9, "", "9", DEPTH),
        (True, "", "true", DEPTH),
        ({"int": [0, 2]}, ".int.0", "0", "an integer from 1 up to 8"),
        ({"int": [2, 1]}, ".int", "[2, 1]", "[low, high] with low <= high"),
        ({"int": [1, 4], "step": 2}, ".step", "2, which misses 4", "a high of 3, or another step"),
        ({"int": [1, 4], "step": 0}, ".step", "0", "greater than or equal to 1"),
        (
            {"int": [1, 3], "step": 2, "log": True},
            ".log",
            "true with low 1 and step 2",
            "low >= 1 and step 1",
        ),
        ({"float": [1, 2]}, "", '{"float": [1, 2]}', DEPTH),
    ],
)
def test_a_wrong_integer_is_explained(value: object, where: str, found: str, allowed: str) -> None:
    path = "architecture.encoder.stage1.depth"
    document = put(small_document(), path, value)
    assert problems_of(document) == [f"small.yaml: {path}{where}: found {found}; allowed: {allowed}"]


@pytest.mark.parametrize(
    ("path", "value", "where", "found", "allowed"),
    [
        ("recipe.augmentation.colour", {"float": [0, 1], "log": True}, ".log", "true with low 0", "low > 0"),
        ("recipe.augmentation.flip", 1, "", "1", "true or false, or {choose: [...]}"),
        ("architecture.encoder.stage1.kernel", 4, "", "4", "3 or 5 or 7, or {choose: [...]}"),
        ("architecture.encoder.stage1.kernel", {"choose": [3, True]}, ".choose.1", "true", "3 or 5 or 7"),
        (
            "architecture.encoder.stage1",
            3,
            "",
            "3",
            "a mapping with depth, kernel, expansion, squeeze_excite, ",
        ),
        ("architecture.input.height", {"int": [96, 128], "step": 8}, ".step", "8", "a multiple of 16"),
        (
            "architecture.decoder",
            {"kind": "adds"},
            "",
            '{"kind": "adds"}',
            "{kind: NAME, ...} with NAME one of add, concat, separable, collapsible, light, simple_fusion, "
            "feature_fusion, package.module:Class (a subclass of sweep.space.decoders.OwnDecoder), or {choose: ",
        ),
        (
            "architecture.encoder",
            {"kind": "ghostnet", "width": 1, "stages": 4, "stage2": {"kernel": 4}},
            ".stage2.kernel",
            "4",
            "3 or 5 or 7, or {choose: [...]}",
        ),
        ("name", "a b", "", '"a b"', "up to 64 letters, digits, _, . and -, a letter or digit first"),
        ("budget.trials", 0, "", "0", "greater than or equal to 1"),
        ("budget.time", 600, "", "600", "a duration above zero such as 90s, 10m, 2h or 1h30m"),
        (
            "budget.time",
            "10 minutes",
            "",
            '"10 minutes"',
            "a duration above zero such as 90s, 10m, 2h or 1h30m",
        ),
        ("rungs.epochs", [2, 5], "", "[2, 5]", "budget.max_epochs (6) as the last rung"),
        ("rungs.epochs", [6, 2], "", "[6, 2]", "ascending epochs, each once"),
        ("rungs.reduction_factor", 1, "", "1", "greater than or equal to 2"),
        ("rungs.reduction_factor", [2, 1], ".1", "1", "greater than or equal to 2"),
        ("target", {"threads": True}, ".threads", "true", "a valid integer"),
        ("target", {"delegate": "gpu"}, ".delegate", '"gpu"', "'none' or 'xnnpack'"),
        (
            "sampler",
            {"kind": "tpr"},
            "",
            '{"kind": "tpr"}',
            "{kind: NAME, ...} with NAME one of composite, tpe, gp, nsga2, random",
        ),
        (
            "sampler",
            {"kind": "tpe", "group": True},
            ".group",
            "true without multivariate",
            "multivariate: true beside it, or group: false",
        ),
        ("sampler", {"kind": "nsga2", "population": 1}, ".population", "1", "greater than or equal to 2"),
        ("constraints", ["latency <= 5"], ".0", '"latency <= 5"', "METRIC <= NUMBER with METRIC one of"),
        ("constraints", ["latency_ms < 5"], ".0", '"latency_ms < 5"', "METRIC <= NUMBER with METRIC one of"),
        ("constraints", ["size_mb <= 0"], ".0", '"size_mb <= 0"', "METRIC <= NUMBER with METRIC one of"),
        ("constraints", ["size_mb <= nan"], ".0", '"size_mb <= nan"', "METRIC <= NUMBER with METRIC one of"),
        ("constraints", [5], ".0", "5", "METRIC <= NUMBER with METRIC one of"),
        ("admission", {"rule": "latency"}, ".rule", '"latency"', "'score' or 'off'"),
        ("admission", {"risk": 1.5}, ".risk", "1.5", "less than or equal to 1"),
        ("finalists", {"top": 0}, ".top", "0", "greater than or equal to 1"),
        ("rungs.policy", "sha", "", '"sha"', "'asha' or 'hyperband'"),
        ("rungs.extrapolation_risk", -0.1, "", "-0.1", "greater than or equal to 0"),
        (
            "warm_start",
            [{"url": "x"}],
            ".0",
            '{"url": "x"}',
            "{preset: NAME}, {sweep: NAME, top: N}, {file: PATH} or {candidates: PATH}",
        ),
        ("warm_start", [{"sweep": "a", "top": 0}], ".0.top", "0", "greater than or equal to 1"),
        (
            "sampler",
            {"kind": "tpe", "startup_trials": -1},
            ".startup_trials",
            "-1",
            "greater than or equal to 0",
        ),
        ("keep", 0, "", "0", "greater than or equal to 1"),
    ],
)
def test_a_wrong_value_is_explained(path: str, value: object, where: str, found: str, allowed: str) -> None:
    (line,) = problems_of(put(small_document(), path, value))
    assert line.startswith(f"small.yaml: {path}{where}: found {found}; allowed: {allowed}")


@pytest.mark.parametrize(
    ("value", "where", "found", "allowed"),
    [
        ("adam", "", '"adam"', OPTIMIZER),
        ({}, "", "{}", OPTIMIZER),
        ({"kind": "adan"}, "", '{"kind": "adan"}', OPTIMIZER),
        (
            {"kind": "adamw"},
            ".weight_decay",
            "nothing",
            "a number from 0 up to 1, or {choose: [...]}, or {float: [low,",
        ),
        ({"kind": "adam", "weight_decay": 0}, ".weight_decay", "an unknown key", "kind"),
        ({"choose": {}}, ".choose", "{}", "at least one of adam, adamw, sgd"),
        ({"choose": ["adam"]}, ".choose", '["adam"]', "a mapping with adam, adamw, sgd"),
        ({"choose": {"adan": {}}}, ".choose.adan", "an unknown key", "adam, adamw, sgd (did you mean adam?)"),
        ({"choose": {"adam": None}}, ".choose.adam", "null", "a mapping with no keys"),
        ({"choose": {"adamw": {}}}, ".choose.adamw.weight_decay", "nothing", "a number from 0 up to 1"),
        (
            {"choose": {"adamw": {"weight_decay": 7}}},
            ".choose.adamw.weight_decay",
            "7",
            "a number from 0 up to 1",
        ),
        (
            {"choose": {"adam": {}, "adamw": {}}, "weight_decay": 0.1},
            ".weight_decay",
            "a key that adam does not have",
            "here, keys of every option",
        ),
        (
            {"choose": {"adamw": {"weight_decay": 0.2}}, "weight_decay": 0.1},
            ".choose.adamw.weight_decay",
            "0.2",
            "weight_decay either here or beside choose",
        ),
    ],
)
def test_a_wrong_union_is_explained(value: object, where: str, found: str, allowed: str) -> None:
    (line,) = problems_of(put(small_document(), "recipe.optimizer", value))
    assert line.startswith(f"small.yaml: recipe.optimizer{where}: found {found}; allowed: {allowed}")


@pytest.mark.parametrize(
    ("options", "where", "found", "allowed"),
    [
        ({"a b": {"height": 96, "width": 128}}, ".choose.a b", '"a b"', LABEL),
        (
            {"a": {"height": 96}},
            ".choose.a.width",
            "nothing",
            "an integer from 32 up to 640 in multiples of 16",
        ),
        (
            {"width": {"height": 96, "width": 128}},
            ".choose.width",
            "a label that is also a key",
            "another label",
        ),
        (
            {"a": {"height": {"int": [96, 128]}, "width": 128}, "b": {"height": 112, "width": 128}},
            "",
            "options a and b, which can make the same values",
            "options that differ in at least one key",
        ),
    ],
)
def test_a_wrong_joint_choice_is_explained(options: object, where: str, found: str, allowed: str) -> None:
    document = put(small_document(), "architecture.input", {"choose": options, "resize": "bilinear"})
    (line,) = problems_of(document)
    assert line.startswith(f"small.yaml: architecture.input{where}: found {found}; allowed: {allowed}")


def test_unknown_and_missing_keys_are_reported_together() -> None:
    document = small_document()
    document["recipe"]["lerning_rate"] = document["recipe"].pop("learning_rate")
    del document["budget"]
    keys = (
        "optimizer, learning_rate, schedule, loss, augmentation, batch_size, quantization, pretrained, "
        "distillation, gradient_clip, precision"
    )
    assert problems_of(document) == [
        "small.yaml: budget: found nothing; "
        "allowed: When a sweep ends: a mapping with trials, max_epochs and time.",
        f"small.yaml: recipe.learning_rate: found nothing; allowed: {RATE}",
        f"small.yaml: recipe.lerning_rate: found an unknown key; allowed: {keys} (did you mean learning_rate?)",
    ]


def test_a_problem_is_one_printable_line_even_for_odd_keys() -> None:
    (line,) = problems_of(put(small_document(), "budget.a\nb\x1b", 1))
    assert line.startswith("small.yaml: budget.a\\nb\\x1b: found an unknown key")


STRIDES = "input 112x128 is not a multiple of the encoder's stride 32"


def _with_stride_32(document: dict[str, Any]) -> dict[str, Any]:
    stage = document["architecture"]["encoder"]["stage1"]
    return put(document, "architecture.encoder.stop", {"kind": "stride_32", "stage3": stage, "stage4": stage})


def test_a_space_without_any_possible_candidate_names_the_keys_involved() -> None:
    document = _with_stride_32(put(small_document(), "architecture.input.height", {"choose": [112, 144]}))
    assert problems_of(document)[0] == (
        f"small.yaml: architecture.input.height: found only impossible combinations ({STRIDES}); "
        "allowed: at least one possible combination"
    )


def test_a_value_that_the_fixed_rest_rules_out_is_an_error() -> None:
    document = _with_stride_32(put(small_document(), "architecture.input.height", {"int": [96, 128]}))
    assert problems_of(document) == [
        f"small.yaml: architecture.input.height: found 112, which is impossible with all the rest ({STRIDES}); "
        "allowed: values that some candidate can have"
    ]


def test_an_option_that_the_fixed_rest_rules_out_is_an_error() -> None:
    document = put(small_document(), "architecture.input.height", 112)
    stage = document["architecture"]["encoder"]["stage1"]
    stop = {"choose": {"stride_16": {}, "stride_32": {"stage4": stage}}, "stage3": stage}
    assert problems_of(put(document, "architecture.encoder.stop", stop)) == [
        'small.yaml: architecture.encoder.stop: found "stride_32", which is impossible with all the rest '
        f"({STRIDES}); allowed: values that some candidate can have"
    ]


def test_a_recipe_without_any_loss_is_an_error() -> None:
    document = put(small_document(), "recipe.loss", {"silog": 0, "silog_lambda": 1, "gradient": 0, "l1": 0})
    (line,) = problems_of(document)
    assert line.startswith(
        "small.yaml: recipe: found only impossible combinations (silog, gradient, l1, l2, si_rmse, "
    )


def test_a_range_of_weights_that_ends_at_zero_is_fine() -> None:
    loss = {"silog": 0, "silog_lambda": 1, "gradient": {"float": [0, 1]}, "l1": 0}
    assert space_of(put(small_document(), "recipe.loss", loss)).architectures() == 1


@pytest.mark.parametrize(
    ("entry", "where", "found", "allowed"),
    [
        (
            {"recipe.learning_rat": 1e-3},
            ".recipe.learning_rat",
            "an unknown parameter",
            "the space's 3 parameters (did",
        ),
        ({"recipe.learning_rate": 5}, ".recipe.learning_rate", "5", "numbers from 0.001 to 0.01, log"),
        ({"recipe.learning_rate": [1]}, ".recipe.learning_rate", "[1]", "a text, a number, true or false"),
        ({"recipe.optimizer": "sgd"}, ".recipe.optimizer", '"sgd"', "adam, adamw"),
        (
            {"recipe.optimizer": "adam", "recipe.optimizer.adamw.weight_decay": 0.1},
            ".recipe.optimizer.adamw.weight_decay",
            "0.1",
            "this parameter only with recipe.optimizer: adamw",
        ),
        (
            {"recipe.optimizer.adamw.weight_decay": 0.1},
            ".recipe.optimizer.adamw.weight_decay",
            "0.1",
            "this parameter only with recipe.optimizer: adamw",
        ),
    ],
)
def test_a_first_trial_that_does_not_fit_is_explained(
    entry: dict[str, Any], where: str, found: str, allowed: str
) -> None:
    optimizer = {"choose": {"adam": {}, "adamw": {"weight_decay": {"float": [0, 1]}}}}
    document = put(put(small_document(), "recipe.optimizer", optimizer), "start_from", [entry])
    (line,) = problems_of(document)
    assert line.startswith(f"small.yaml: start_from.0{where}: found {found}; allowed: {allowed}")


def test_a_first_trial_that_cannot_exist_is_an_error() -> None:
    document = put(small_document(), "architecture.input.height", {"choose": [96, 112]})
    stage = document["architecture"]["encoder"]["stage1"]
    stop = {"choose": {"stride_16": {}, "stride_32": {"stage4": stage}}, "stage3": stage}
    put(document, "architecture.encoder.stop", stop)
    entry = {"architecture.input.height": 112, "architecture.encoder.stop": "stride_32"}
    assert problems_of(put(document, "start_from", [{"architecture.input.height": 112}, entry])) == [
        f"small.yaml: start_from.1: found an impossible combination ({STRIDES}); "
        "allowed: values that some candidate can have"
    ]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (
            "nope.yaml",
            "nope.yaml: found no such file; allowed: a YAML file, or a bundled space: efficientnet, ",
        ),
        ("mobilenetv2", "(did you mean mobilenetv3?)"),
        ("/nowhere/mobilenetv3.yaml", "/nowhere/mobilenetv3.yaml: found no such file"),
        ("a\0b", "a\\x00b: found a file that cannot be read (embedded null byte); allowed: a YAML file"),
        (".", ".: found no candidate; allowed: a folder with candidates' YAML files"),
    ],
)
def test_a_file_that_is_not_there_is_explained(path: str, expected: str) -> None:
    with pytest.raises(SpaceError) as raised:
        load_space(path)
    assert expected in str(raised.value)


def test_a_file_is_named_as_the_person_named_it(tmp_path: Path) -> None:
    file = tmp_path / "empty.yaml"
    file.touch()
    with pytest.raises(SpaceError) as raised:
        load_space(file)
    (problem,) = raised.value.problems
    assert (problem.file, problem.key_path, problem.found) == (str(file), "", "nothing (the file is empty)")


def test_a_last_resize_that_is_searched_is_not_tried_at_the_export_as_well() -> None:
    document = put(small_document(), "architecture.output.upsampling", {"choose": ["nearest", "bilinear"]})
    put(document, "export", {"output_upsampling": ["bilinear"]})
    assert problems_of(document) == [
        'small.yaml: export.output_upsampling: found ["bilinear"]; allowed: nothing here, or one value for '
        "architecture.output.upsampling, which is searched as well"
    ]
