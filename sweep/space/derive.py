"""Derives the pydantic schema of a search space from the candidate models, so that there is one truth.

For every candidate model there is a group with the same keys, each in the forms that its type allows. A new
field of a candidate is searchable without a line here, and so are the keys of parts from other packages.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema
from pydantic.fields import FieldInfo

from sweep.space.encoders import by_kind
from sweep.space.fields import WORDS, alike, defining, kind_of, own_base, submodels
from sweep.space.forms import Branch, Explain, Form, Group, KindOptions
from sweep.space.leaf_forms import derived, keys_of, leaf_form, one_of_forms, tag_of
from sweep.space.parts import Frozen, OwnPart, is_own
from sweep.space.problems import one_of

Role = Literal["whole", "labelled", "kind"]

_LABEL = r"^[A-Za-z0-9_+-]+$"
_OWN_KIND = r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$"


@dataclass(frozen=True)
class Language:
    """What a file may say.

    Attributes:
        own: the parts of other packages that it names.
        choices: whether values may be left open.
    """

    own: tuple[type[OwnPart], ...] = ()
    choices: bool = True


SEARCH: Final = Language()


@cache
def group_of(model: type[Frozen], role: Role = "whole", language: Language = SEARCH) -> type[Group]:
    """The search form of one candidate model.

    Args:
        model: a candidate model; its fields are primitives (bool, int, float, str, Literal), models of
            this sort, or unions of them that are discriminated by ``kind``.
        role: ``whole``: a mapping of its own. ``labelled`` and ``kind``: an option under ``choose``, whose
            keys may stand beside ``choose`` instead; the option of a ``kind`` is named by it.
        language: what the file may say.

    Raises:
        TypeError: a field has another type, or the name of a word of the language.
    """
    fields = {name: f for name, f in model.model_fields.items() if not (role == "kind" and name == "kind")}
    required = frozenset(name for name, field in fields.items() if field.is_required())
    forms: dict[str, Any] = {
        name: (_form(model, name, language), _key(field, role != "whole" or name not in required))
        for name, field in fields.items()
    }
    optional = {name: field for name, field in fields.items() if name not in required}
    unsaid = {name: _unsaid(model, name, field) for name, field in optional.items() if field.exclude_if}
    stated = {name: field.default for name, field in optional.items() if not field.exclude_if}
    name = model.__name__ + {"whole": "Space", "labelled": "Option", "kind": "KindOption"}[role]
    return derived(
        name,
        Group,
        model.__doc__,
        candidate_model=(ClassVar[type[Frozen]], model),
        required=(ClassVar[frozenset[str]], required),
        unsaid=(ClassVar[Mapping[str, tuple[object, ...]]], unsaid),
        stated=(ClassVar[Mapping[str, object]], stated),
        **forms,
    )


def _unsaid(model: type[Frozen], name: str, field: FieldInfo) -> tuple[object, ...]:
    """What an optional key may say that its absence says too, as a file spells it."""
    neutral = (model.neutral[name],) if name in model.neutral else ()
    if field.default is None:
        return ({}, *neutral)
    default = field.default
    return (default.model_dump() if isinstance(default, BaseModel) else default, *neutral)


def _key(field: FieldInfo, may_be_absent: bool) -> Any:
    """A key without a default of its own: absent keys are known by ``model_fields_set``."""
    default = None if may_be_absent else ...
    return Field(default=default, description=field.description)


def _form(model: type[Frozen], name: str, language: Language) -> Any:
    """The form of a field: one class per field, wherever it appears, in subclasses too."""
    return _form_of(defining(model, name), name, language)


@cache
def _form_of(owner: type[Frozen], name: str, language: Language) -> Any:
    field = owner.model_fields[name]
    title = owner.__name__ + name.title().replace("_", "")
    if name in WORDS or hasattr(Group, name) or hasattr(Branch, name):
        raise TypeError(f"{owner.__name__}.{name}: the search-space language needs the name {name!r} itself")
    if field.discriminator not in (None, "kind", by_kind):
        raise TypeError(f"{owner.__name__}.{name}: unions must be discriminated by 'kind'")
    base, models = own_base(field), submodels(field)
    if field.discriminator or base:
        own = tuple(part for part in language.own if base and issubclass(part, base))
        return _union_form(title, (*models, *own), base, language)
    if models:
        (model,) = models
        return _model_form(model, language)
    return leaf_form(title, field, choices=language.choices)


@cache
def _model_form(model: type[Frozen], language: Language) -> Any:
    """A mapping, or a joint choice between labelled mappings."""
    if not language.choices:
        return group_of(model, "whole", language)
    labels = Annotated[str, Field(pattern=_LABEL), Explain("a label of letters, digits, _, + and -")]
    options = dict[labels, group_of(model, "labelled", language)]  # type: ignore[valid-type, misc]  # made at run time
    choice = derived(
        f"{model.__name__}Choice",
        Branch,
        "One of several mappings, drawn as a whole; keys beside `choose` hold for every option.",
        choose=(options, Field(min_length=1, description="Options by label, any label.")),
        **_beside_choose(dict.fromkeys(model.model_fields, model), language),
    )
    forms: dict[str, Any] = {"<fields>": group_of(model, "whole", language), "<choose>": choice}
    return one_of_forms(forms, _model_tag)


def _union_form(
    title: str, models: tuple[type[Frozen], ...], base: type[OwnPart] | None, language: Language
) -> Any:
    """A mapping with a fixed kind, or a choice between kinds. ``base``: parts of other packages may stand here."""
    kinds = {kind_of(model): model for model in models}
    forms: dict[str, Any] = {f"<{kind}>": group_of(m, "whole", language) for kind, m in kinds.items()}
    if base:
        forms["<own>"] = _own_in_editors(base)
    allowed = _kinds_text(kinds, base)
    if language.choices:
        forms["<choose>"] = _choice_of_kinds(title, kinds, base, language)
        allowed += ", or {choose: {NAME: {...}, ...}} with some of these"
    return Annotated[one_of_forms(forms, kind_tag), Explain(allowed)]


def _kinds_text(kinds: Iterable[str], base: type[OwnPart] | None) -> str:
    names = [kind for kind in kinds if not is_own(kind)]
    if base:
        names.append(f"package.module:Class (a subclass of {base.__module__}.{base.__name__})")
    return f"{{kind: NAME, ...}} with NAME one of {one_of(names)}"


def _own_in_editors(base: type[OwnPart]) -> Any:
    """Any part of another package, for schemas. A file's own parts are known, and have forms of their own."""

    def refuse(value: object) -> object:
        raise ValueError(f"{value} is not of a known kind")

    properties = {"kind": {"type": "string", "pattern": _OWN_KIND, "description": "Where it is found."}}
    schema = {
        "type": "object",
        "title": base.__name__,
        "description": base.__doc__,
        "properties": properties,
        "required": ["kind"],
    }
    return Annotated[Any, BeforeValidator(refuse), WithJsonSchema(schema)]


def _choice_of_kinds(
    title: str, kinds: Mapping[str, type[Frozen]], base: type[OwnPart] | None, language: Language
) -> type[Form]:
    members: dict[str, Any] = {
        f"option_{number}": (group_of(model, "kind", language), Field(default=None, alias=kind))
        for number, (kind, model) in enumerate(kinds.items())
    }
    options = derived(f"{title}Options", KindOptions, "Options by kind, with their parameters.", **members)
    if base:
        options.model_config["json_schema_extra"] = {
            "patternProperties": {_OWN_KIND: {"type": "object", "description": "A part of your own."}}
        }
    return derived(
        f"{title}Choice",
        Branch,
        "One of several kinds; keys beside `choose` hold for every option.",
        choose=(options, Field(description="Options by kind.")),
        **_beside_choose(_common(tuple(kinds.values())), language),
    )


def _common(models: tuple[type[Frozen], ...]) -> dict[str, type[Frozen]]:
    """Keys that two or more models have, of one type and bounds, with a model that has them so."""
    common: dict[str, type[Frozen]] = {}
    for name in dict.fromkeys(name for model in models for name in model.model_fields if name != "kind"):
        having = [model for model in models if name in model.model_fields]
        twins = {
            model: sum(alike(model.model_fields[name], other.model_fields[name]) for other in having)
            for model in having
        }
        most = max(having, key=lambda model: twins[model])
        if twins[most] > 1:
            common[name] = most
    return common


def _beside_choose(models: Mapping[str, type[Frozen]], language: Language) -> dict[str, Any]:
    """The keys beside `choose`, each as the model has it that is given for it."""
    fields = {name: model.model_fields[name] for name, model in models.items()}
    keys: dict[str, Any] = {
        name: (_form(model, name, language), _key(fields[name], may_be_absent=True))
        for name, model in models.items()
    }
    return {**keys, "shared_fields": (ClassVar[Mapping[str, FieldInfo]], fields)}


def kind_tag(value: object) -> str | None:
    """The tag of the form that a union's value spells."""
    if "choose" in keys_of(value):
        return "<choose>"
    if isinstance(value, Mapping):
        return f"<{value.get('kind')}>"
    return f"<{getattr(value, 'kind', None)}>"


def _model_tag(value: object) -> str | None:
    return tag_of(value, ("choose",), otherwise="<fields>")
