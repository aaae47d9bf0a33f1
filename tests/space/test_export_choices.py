"""The `export` section of a space: what each training becomes."""

import io
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from space_documents import problems_of, put, small_document, space_of

from sweep.export import variants
from sweep.space import ExportChoices, InferenceSetting, json_schema
from sweep.space.describe import describe
from sweep.space.exports import DELEGATES, VARIANTS, Variant, choices, choices_from_json

ALL_VARIANTS = "fp32, fp16, dynamic_int8, int8, int8_uint8_input, uint8"


def with_export(**lists: Any) -> dict[str, Any]:
    return put(small_document(), "export", lists)


def lists_of(values: tuple[Any, ...]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(st.sampled_from(values), unique=True, min_size=1).map(tuple)


@pytest.mark.parametrize(
    ("export", "where", "found", "allowed"),
    [
        ({"variants": ["fp32", "int9"]}, ".variants.1", '"int9"', f"{ALL_VARIANTS} (did you mean int8?)"),
        ({"variants": []}, ".variants", "[]", f"a list of different values, at least one of {ALL_VARIANTS}"),
        (
            {"variants": "int8"},
            ".variants",
            '"int8"',
            f"a list of different values, at least one of {ALL_VARIANTS}",
        ),
        ({"variants": ["int8", "fp32", "int8"]}, ".variants", '"int8" twice', "different values"),
        ({"threads": [0]}, ".threads.0", "0", "an integer from 1 up"),
        ({"threads": [1, True]}, ".threads.1", "true", "an integer from 1 up"),
        ({"threads": [2, 4, 2]}, ".threads", "2 twice", "different values"),
        (
            {"threads": 4},
            ".threads",
            "4",
            "a list of different values, at least one of the integers from 1 up",
        ),
        ({"delegates": ["gpu"]}, ".delegates.0", '"gpu"', "none, xnnpack"),
        ({"output_upsampling": ["cubic"]}, ".output_upsampling.0", '"cubic"', "nearest, bilinear"),
        (
            {"variant": ["fp32"]},
            ".variant",
            "an unknown key",
            "variants, threads, delegates, output_upsampling (did you mean variants?)",
        ),
        (3, "", "3", "a mapping with variants, threads, delegates, output_upsampling"),
    ],
)
def test_a_wrong_list_is_explained_once(export: object, where: str, found: str, allowed: str) -> None:
    document = put(small_document(), "export", export)
    assert problems_of(document) == [f"small.yaml: export{where}: found {found}; allowed: {allowed}"]


def test_without_the_section_there_is_one_float32_file_at_the_target_s_setting() -> None:
    document = put(small_document(), "target", {"threads": 2, "delegate": "none"})
    assert space_of(document).document.exports == ExportChoices(("fp32",), (InferenceSetting(2, "none"),), ())
    assert space_of(document).document.exports.is_plain


def test_every_file_meets_every_setting_in_the_order_asked() -> None:
    document = with_export(
        variants=["int8", "fp32"],
        threads=[4, 1],
        delegates=["xnnpack", "none"],
        output_upsampling=["bilinear", "nearest"],
    )
    tried = space_of(document).document.exports
    assert (tried.variants, tried.output_upsampling) == (("int8", "fp32"), ("bilinear", "nearest"))
    assert tried.settings == tuple(InferenceSetting(*pair) for pair in product((4, 1), ("xnnpack", "none")))
    assert tried.combinations == 2 * 2 * 4


@given(
    variants=lists_of(VARIANTS),
    threads=lists_of((1, 2, 3, 4)),
    delegates=lists_of(DELEGATES),
    upsampling=st.just(()) | lists_of(("nearest", "bilinear")),
)
def test_choices_survive_the_way_through_an_identity(
    variants: tuple[Variant, ...], threads: Any, delegates: Any, upsampling: Any
) -> None:
    tried = choices(variants, threads, delegates, upsampling)
    assert choices_from_json({"export": tried.to_json()}) == tried
    assert (tried.threads, tried.delegates) == (threads, delegates)
    assert tried.is_plain == (variants == ("fp32",) and tried.combinations == 1 and not upsampling)


def test_the_identity_of_sweeps_from_before_there_was_a_choice_means_their_target() -> None:
    identity = {"target": {"threads": 4, "delegate": "none"}}
    assert choices_from_json(identity) == choices(("fp32",), (4,), ("none",))


def test_what_is_tried_belongs_to_the_space_s_hash_and_its_spelling_does_not() -> None:
    plain = space_of(small_document()).hash
    spelled = (with_export(), with_export(variants=["fp32"], threads=[1], delegates=["xnnpack"]))
    assert {space_of(document).hash for document in spelled} == {plain}
    others = [
        with_export(variants=["fp32", "int8"]),
        with_export(variants=["int8"]),
        with_export(threads=[1, 4]),
        with_export(delegates=["xnnpack", "none"]),
        with_export(output_upsampling=["nearest"]),
    ]
    assert len({plain, *(space_of(document).hash for document in others)}) == 1 + len(others)


def test_one_setting_is_the_target_however_it_is_written() -> None:
    in_target = put(small_document(), "target", {"threads": 4, "delegate": "none"})
    assert space_of(with_export(threads=[4], delegates=["none"])).hash == space_of(in_target).hash


def test_the_names_are_those_of_the_exporter() -> None:
    assert variants.VARIANTS == VARIANTS


def text_of(document: dict[str, Any]) -> str:
    console = Console(file=io.StringIO(), width=400)
    console.print(describe(space_of(document)))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_check_says_what_is_tried_where_there_is_a_choice() -> None:
    assert "exported" not in text_of(small_document())
    assert (
        "Each training is exported and run in 4 combinations, the best of which is its score: "
        "variants fp32, int8; threads 1, 4; delegates xnnpack; output upsampling the candidate's own."
    ) in text_of(with_export(variants=["fp32", "int8"], threads=[1, 4]))


def test_the_schema_offers_the_names_and_takes_a_valid_section() -> None:
    export = json_schema()["$defs"]["Export"]["properties"]
    assert export["variants"]["items"]["enum"] == list(VARIANTS)
    assert export["delegates"]["items"]["enum"] == list(DELEGATES)
    assert {(export[key]["minItems"], export[key]["uniqueItems"]) for key in export} == {(1, True)}
