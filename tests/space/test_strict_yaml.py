import math

import pytest

from sweep.space import SpaceError
from sweep.space.strict_yaml import MAX_BYTES, MAX_VALUES, read_yaml


def problem_of(content: bytes | str) -> str:
    with pytest.raises(SpaceError) as raised:
        read_yaml(content.encode() if isinstance(content, str) else content, "f.yaml")
    return str(raised.value)


def test_plain_scalars_follow_yaml_1_2() -> None:
    text = """
    scientific: [1e-3, 1E5, -2.5e+1, .5, 3.]
    words: [on, yes, off, 1:30, 2026-01-31, 1_000, 0x10, e3, .]
    integers: [0, -7, +7, 007]
    booleans: [true, FALSE]
    nothing: [~, null, ]
    infinite: [.inf, -.INF]
    """
    assert read_yaml(text.encode(), "f.yaml") == {
        "scientific": [1e-3, 1e5, -25.0, 0.5, 3.0],
        "words": ["on", "yes", "off", "1:30", "2026-01-31", "1_000", "0x10", "e3", "."],
        "integers": [0, -7, 7, 7],
        "booleans": [True, False],
        "nothing": [None, None],
        "infinite": [math.inf, -math.inf],
    }


def test_anchors_and_merge_keys_are_written_out_and_own_keys_win() -> None:
    text = "base: &b {x: 1, y: {z: 2}}\nmore: {<<: *b, x: 3}\nsame: *b\n"
    assert read_yaml(text.encode(), "f.yaml") == {
        "base": {"x": 1, "y": {"z": 2}},
        "more": {"x": 3, "y": {"z": 2}},
        "same": {"x": 1, "y": {"z": 2}},
    }


def test_a_byte_order_mark_is_ignored() -> None:
    assert read_yaml(b"\xef\xbb\xbfa: 1", "f.yaml") == {"a": 1}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            "",
            "f.yaml: found nothing (the file is empty); allowed: a mapping with name, architecture, recipe and ",
        ),
        ("# only a comment\n", "f.yaml: found nothing (the file is empty)"),
        ("- a\n", 'f.yaml: found ["a"]; allowed: a mapping with name'),
        ("a: 1\nb: {\n", "f.yaml: line 3, column 1: found a syntax error (expected the node content"),
        ("a: b: c", "f.yaml: line 1, column 5: found a syntax error (mapping values are not allowed here)"),
        ("a:\n\tb: 1", "f.yaml: line 2, column 1: found a syntax error (found character '\\t'"),
        ("a: *missing", "f.yaml: line 1, column 4: found a syntax error (found undefined alias 'missing')"),
        ("a: 1\n---\nb: 2", "f.yaml: line 2, column 1: found a syntax error (but found another document)"),
        (
            "a: 1\nb: {c: 1, d: 2, c: 3}",
            "f.yaml: line 2, column 17: found the key c for the second time; allowed: each key once",
        ),
        ("a: {1: x}", "f.yaml: line 1, column 5: found the key 1; allowed: text as a key"),
        ("? [a]\n: 1", "f.yaml: line 1, column 3: found a collection as a key; allowed: text as a key"),
        ("a: &x [*x]", "f.yaml: line 1, column 4: found an anchor that contains itself; allowed:"),
        ("a: " + "[" * 50, "f.yaml: line 1, column 43: found deeper nesting; allowed: at most 40 levels"),
        ("a: \0", "f.yaml: line 1, column 4: found the character U+0000; allowed: printable text"),
        ("a: !!python/name:os.system", "f.yaml: line 1, column 4: found a syntax error (could not determine"),
        ("a: !!int x", "f.yaml: found a value that does not fit its !! tag; allowed: values without tags"),
        (
            b"a: 1\nb: \xff",
            "f.yaml: line 2, column 4: found the byte 0xff, which is not UTF-8; allowed: text in",
        ),
        ("é: [".encode("latin-1"), "f.yaml: line 1, column 1: found the byte 0xe9, which is not UTF-8"),
        (b"x" * (MAX_BYTES + 1), f"f.yaml: found {MAX_BYTES + 1} bytes; allowed: at most {MAX_BYTES} bytes"),
    ],
)
def test_what_cannot_be_read_is_placed_and_explained(content: bytes | str, expected: str) -> None:
    assert problem_of(content).startswith(expected)


def test_a_few_nested_anchors_cannot_grow_without_bound() -> None:
    levels = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    bomb = "\n".join(["a0: &a0 [x, x, x, x, x, x, x, x, x]", *levels])
    assert problem_of(bomb).endswith(
        f"values (every alias written out); allowed: at most {MAX_VALUES} values"
    )


def test_nested_merge_keys_are_bounded_too() -> None:
    levels = [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 30)]
    bomb = "\n".join(["a0: &a0 {x: 1}", *levels])
    assert f"at most {MAX_VALUES} values" in problem_of(bomb)
