"""Finds the parts of other packages that a file names, before its forms are derived from them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic.fields import FieldInfo

from sweep.space.candidate import Candidate
from sweep.space.derive import group_of
from sweep.space.fields import kind_of, own_base, submodels
from sweep.space.parts import Frozen, OwnPart, UnusablePart, is_own, own_class
from sweep.space.problems import Problem, SpaceError, show

Found = type[OwnPart] | Problem


def own_parts(data: Mapping[str, object], file: str) -> tuple[type[OwnPart], ...]:
    """The classes that ``kind: package.module:Class`` names where such parts may stand, by their path.

    Args:
        data: a whole file, unchecked.
        file: its name, for problems.

    Raises:
        SpaceError: a class cannot be imported, is of another sort than its place asks for, or has keys that cannot
            be searched.
    """
    found = tuple(_Scan(file).mapping(Candidate, data, ""))
    wrong = [entry for entry in found if isinstance(entry, Problem)]
    if wrong:
        raise SpaceError(wrong)
    parts = {kind_of(entry): entry for entry in found if not isinstance(entry, Problem)}
    return tuple(parts[kind] for kind in sorted(parts))


@dataclass(frozen=True)
class _Scan:
    file: str

    def mapping(self, model: type[Frozen], data: object, at: str) -> Iterator[Found]:
        """Parts within the keys of ``model``."""
        if isinstance(data, Mapping):
            for name in data.keys() & model.model_fields.keys():
                where = f"{at}.{name}" if at else name
                yield from self._value(model.model_fields[name], data[name], where)

    def _value(self, field: FieldInfo, value: object, at: str) -> Iterator[Found]:
        if not isinstance(value, Mapping):
            return
        if "choose" not in value:
            yield from self._part(field, value.get("kind"), value, at, f"{at}.kind")
            return
        for model in submodels(field):  # keys beside `choose`
            yield from self.mapping(model, value, at)
        options = value["choose"]
        for label, option in options.items() if isinstance(options, Mapping) else ():
            where = f"{at}.choose.{label}"
            yield from self._part(field, label, option, where, where)

    def _part(
        self, field: FieldInfo, kind: object, keys: object, at: str, where_kind: str
    ) -> Iterator[Found]:
        """What a fixed kind or an option of that name holds, and itself."""
        models, base = submodels(field), own_base(field)
        if base and is_own(kind):
            yield from self._own(str(kind), base, keys, at, where_kind)
            return
        by_kind = {kind_of(model): model for model in models if "kind" in model.model_fields}
        for model in [by_kind[str(kind)]] if kind in by_kind else [m for m in models if not by_kind]:
            yield from self.mapping(model, keys, at)

    def _own(self, kind: str, base: type[OwnPart], keys: object, at: str, where_kind: str) -> Iterator[Found]:
        allowed = f"package.module:Class, a subclass of {base.__module__}.{base.__name__}"
        try:
            part = own_class(kind, base)
            group_of(part)
        except (UnusablePart, TypeError) as error:
            reason = error.reason if isinstance(error, UnusablePart) else error
            yield Problem(self.file, where_kind, f"{show(kind)} ({reason})", allowed)
            return
        yield part
        yield from self.mapping(part, keys, at)
