"""YAML, read strictly: the 1.2 core schema, text keys, no duplicate keys, bounded size, depth and expansion.

PyYAML follows YAML 1.1, where ``1e-3`` is a string and ``on`` a boolean; editors and most people follow 1.2.
"""

import re
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from sweep.space.problems import Problem, SpaceError, show

MAX_BYTES = 256 * 1024
MAX_DEPTH = 40
MAX_VALUES = 20_000

_TAG = "tag:yaml.org,2002:"
_PLAIN_SCALARS = (
    ("null", r"~|null|Null|NULL|", ("~", "n", "N", "")),
    ("bool", r"true|True|TRUE|false|False|FALSE", tuple("tTfF")),
    ("int", r"[-+]?[0-9]{1,100}", tuple("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,9})?", tuple("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", tuple("-+.")),
    ("merge", r"<<", ("<",)),
)


def read_yaml(
    content: bytes, file: str, keys: str = "name, architecture, recipe and budget"
) -> dict[str, object]:
    """Read one YAML mapping.

    Args:
        content: the file's bytes, UTF-8 (a byte order mark is fine).
        file: its name, for problems.
        keys: the keys that belong there, for problems.

    Raises:
        SpaceError: with one problem that says where (line and column) and what is allowed.
    """
    try:
        value = _construct(_decode(content))
    except _Unreadable as error:
        raise SpaceError([Problem(file, error.place, error.found, error.allowed)]) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        found = f"a syntax error ({error.problem or error.context})"
        raise SpaceError([Problem(file, _place(mark), found, "valid YAML")]) from None
    if not isinstance(value, dict):
        found = "nothing (the file is empty)" if value is None else show(value)
        raise SpaceError([Problem(file, "", found, f"a mapping with {keys}")])
    return value


class _Unreadable(Exception):
    def __init__(self, place: str, found: str, allowed: str) -> None:
        self.place, self.found, self.allowed = place, found, allowed


def _resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """PyYAML's table of plain scalars: first character -> (tag, pattern) in order of preference."""
    table: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    for name, pattern, first_characters in _PLAIN_SCALARS:
        for character in first_characters:
            table.setdefault(character, []).append((_TAG + name, re.compile(f"^(?:{pattern})$")))
    return table


class _Loader(yaml.SafeLoader):
    """SafeLoader with YAML 1.2's plain scalars, and mappings whose keys are distinct texts."""

    yaml_implicit_resolvers = _resolvers()

    def construct_distinct(self, node: MappingNode) -> dict[str, object]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag == _TAG + "merge":
                continue
            if not isinstance(key, ScalarNode) or key.tag != _TAG + "str":
                found = f"the key {key.value}" if isinstance(key, ScalarNode) else "a collection as a key"
                raise _unreadable_at(key, found, "text as a key (put numbers, true and null into quotes)")
            if key.value in seen:
                raise _unreadable_at(key, f"the key {key.value} for the second time", "each key once")
            seen.add(key.value)
        self.flatten_mapping(node)
        return {key.value: self.construct_object(value, deep=True) for key, value in node.value}

    def construct_decimal(self, node: ScalarNode) -> int:
        return int(node.value)  # YAML 1.2 has no leading-zero octals and no 1:30 sexagesimals


_Loader.add_constructor(_TAG + "map", _Loader.construct_distinct)
_Loader.add_constructor(_TAG + "int", _Loader.construct_decimal)


def _decode(content: bytes) -> str:
    if len(content) > MAX_BYTES:
        raise _Unreadable("", f"{len(content)} bytes", f"at most {MAX_BYTES} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = _place_after(content[: error.start].decode("utf-8-sig", errors="replace"))
        found = f"the byte 0x{content[error.start]:02x}, which is not UTF-8"
        raise _Unreadable(place, found, "text in UTF-8") from None


def _construct(text: str) -> object:
    try:
        _check_depth(text)
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            return None
        _check_expansion(root)
        return loader.construct_document(root)
    except yaml.reader.ReaderError as error:
        found = f"the character U+{ord(text[error.position]):04X}"
        raise _Unreadable(_place_after(text[: error.position]), found, "printable text") from None
    except (ValueError, KeyError, AttributeError):  # such as `!!int abc`; plain scalars fit their own tag
        raise _Unreadable("", "a value that does not fit its !! tag", "values without tags") from None


def _check_depth(text: str) -> None:
    """Nesting is limited before anything recurses; the event stream itself is read without recursion."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise _Unreadable(_place(event.start_mark), "deeper nesting", f"at most {MAX_DEPTH} levels")


def _check_expansion(root: Node) -> None:
    """Count values with every alias written out, so that a few nested anchors cannot grow without bound."""
    sizes: dict[int, int] = {}
    being_counted: set[int] = set()

    def size(node: Node) -> int:
        if id(node) in being_counted:
            raise _unreadable_at(node, "an anchor that contains itself", "anchors used after their end")
        if id(node) not in sizes:
            being_counted.add(id(node))
            sizes[id(node)] = 1 + sum(map(size, _children(node)))
            being_counted.remove(id(node))
        return sizes[id(node)]

    if size(root) > MAX_VALUES:
        found = f"{size(root)} values (every alias written out)"
        raise _unreadable_at(root, found, f"at most {MAX_VALUES} values")


def _children(node: Node) -> list[Node]:
    if isinstance(node, MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, SequenceNode) else []


def _unreadable_at(node: Node, found: str, allowed: str) -> _Unreadable:
    return _Unreadable(_place(node.start_mark), found, allowed)


def _place(mark: Any) -> str:
    """Line and column, both from 1, of a PyYAML mark."""
    return f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""


def _place_after(text: str) -> str:
    """Line and column, both from 1, of the character that follows ``text``."""
    lines = text.split("\n")
    return f"line {len(lines)}, column {len(lines[-1]) + 1}"
