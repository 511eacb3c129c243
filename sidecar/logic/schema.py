"""Configuration: from a mapping to typed values, with every problem at once.

msgspec stops at the first error and does not name map keys, so the walk is our own; the types are plain msgspec
structs. Each component declares a frozen `Config` struct; fields are annotated with `scalars`. `load` never
raises for bad input: it returns what is wrong, one line each, in the form::

    <place>: <path>: <problem>, expected <what>, did you mean <this>?

A value's *place* is where it was written: a file, `environment OUTRIDER_DRAIN`, `flag --target`.

All of them come at once. What a field must be by itself stands in its annotation (`Rule`), so that no other field hides it. What
several must be together is said by their struct's `problems`; it looks at structs with wrong fields too, and a check that asks
for one of these ends there, with nothing said, and ends no other check.
"""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, TypeAlias, TypeVar, cast

import msgspec

from .printable import printable
from .scalars import Invalid, Rule, Scalar, quoted

T = TypeVar("T")

Tree = Mapping[str, Any]
Places = Mapping[str, str]
Checks: TypeAlias = Iterable["tuple[str, str, str] | Checks"]
"""What `problems` of a struct yields: the key below it (empty: as a whole), the problem and what was expected. An iterable in it
is a check of its own: what ends that one for want of a right value ends none beside it."""


class Problem(msgspec.Struct, frozen=True):
    place: str
    path: str
    problem: str
    expected: str = ""
    meant: str | None = None

    def __str__(self) -> str:
        text = f"{self.place}: {self.path}: {self.problem}" if self.path else f"{self.place}: {self.problem}"
        if self.expected:
            text += f", expected {self.expected}"
        if self.meant is not None:
            text += f', did you mean "{self.meant}"?'
        return printable(text)


class Table:
    """Marks `Annotated[SomeBase, Table("kind", {...})]`: the struct to load is chosen by one key of the mapping."""

    def __init__(self, key: str, kinds: Mapping[str, type]) -> None:
        self.key = key
        self.kinds = kinds


class Shorthand:
    """Marks `Annotated[SomeStruct, Shorthand("key")]`: a value that is no mapping stands for one with only this key."""

    def __init__(self, key: str) -> None:
        self.key = key


def load(
    kind: type[T],
    tree: Any,
    places: Places,
    default_place: str,
    *,
    whole: bool = True,
    outside: Callable[[Any], Checks] = lambda _: (),
) -> tuple[T | None, list[Problem]]:
    """Load `tree` as the struct `kind`. `places` maps dotted paths to where that value was written.

    Without `whole` the tree is not all that was written: nothing is said of what is not in it. `outside` looks as `problems`
    does, last, and at what this floor does not touch.
    """
    walk = _Walk(places, default_place, whole)
    value = walk.value(kind, tree, "")
    walk.check("", outside(value) if isinstance(value, kind) else ())
    return (None, list(walk.problems)) if walk.problems else (cast("T", value), [])


def hints(kind: type) -> dict[str, Any]:
    """A struct's fields in the order written, with annotations resolved and `Annotated` kept."""
    # Without names of its own, so that what is written in an annotation is looked up in the module, also later.
    resolved = typing.get_type_hints(kind, localns={}, include_extras=True)
    return {name: resolved[name] for name in kind.__struct_fields__}  # type: ignore[attr-defined]


def scalar_of(annotation: Any) -> Scalar | None:
    return next((m for m in getattr(annotation, "__metadata__", ()) if isinstance(m, Scalar)), None)


def rules_of(annotation: Any) -> list[Rule]:
    return [m for m in getattr(annotation, "__metadata__", ()) if isinstance(m, Rule)]


def bare(annotation: Any) -> Any:
    """`X` for `Annotated[X, …]`."""
    return annotation.__origin__ if hasattr(annotation, "__metadata__") else annotation


def table_of(annotation: Any) -> Table | None:
    return next((m for m in getattr(annotation, "__metadata__", ()) if isinstance(m, Table)), None)


def shorthand_of(annotation: Any) -> str | None:
    """The key that stands for the whole struct."""
    return next((m.key for m in getattr(annotation, "__metadata__", ()) if isinstance(m, Shorthand)), None)


def optional_of(annotation: Any) -> Any:
    """`X` for `X | None`, else None."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        inner = [a for a in typing.get_args(annotation) if a is not type(None)]
        if len(inner) == 1:
            return inner[0]
    return None


class Unknown(Exception):
    """What a check needs to know is wrong itself, which is told elsewhere."""


class _Failed:
    """A value that was given, so that it is not None, and is wrong. More is not known of it."""

    def _give_up(self, *_: object) -> Any:
        raise Unknown

    __getattr__ = __getitem__ = __iter__ = __contains__ = __call__ = __add__ = __radd__ = _give_up
    __bool__ = __len__ = __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __ne__ = __hash__ = _give_up
    __str__ = __format__ = __fspath__ = _give_up


_FAILED = _Failed()


class _Walk:
    def __init__(self, places: Places, default_place: str, whole: bool) -> None:
        self.places = places
        self.default_place = default_place
        self.whole = whole
        self.problems: dict[Problem, None] = {}
        """In the order found; none of them twice."""

    def place(self, path: str) -> str:
        """Where `path` was written: its own place, or that of what stands beside it, or around it."""
        around = path
        while around:
            if around in self.places:
                return self.places[around]
            below = next((place for key, place in self.places.items() if key.startswith(f"{around}.")), None)
            if below is not None:
                return below
            around = around.rpartition(".")[0]
        return self.default_place

    def bad(self, path: str, problem: str, expected: str = "", meant: str | None = None) -> Any:
        self.problems[Problem(self.place(path), path, problem, expected, meant)] = None
        return _FAILED

    def check(self, path: str, checks: Checks) -> None:
        try:
            for said in checks:
                if isinstance(said, tuple):
                    key, problem, expected = said
                    self.bad(join(path, key), problem, expected)
                else:
                    self.check(path, said)
        except Unknown:
            if self.whole and not self.problems:
                raise  # else what is wrong has been told where it stands

    def value(self, annotation: Any, raw: Any, path: str) -> Any:
        inner = optional_of(annotation)
        if inner is not None:
            return None if raw is None else self.value(inner, raw, path)
        value = self.typed(annotation, raw, path)
        for rule in rules_of(annotation) if value is not _FAILED else ():
            if not rule.holds(value):
                scalar = scalar_of(annotation)
                shown = "" if scalar and scalar.secret else f"{scalar.show(value) if scalar else quoted(value)} "
                return self.bad(path, f"{shown}{rule.problem}", rule.expected)
        return value

    def typed(self, annotation: Any, raw: Any, path: str) -> Any:
        scalar = scalar_of(annotation)
        if scalar is not None:
            try:
                return scalar.parse(raw)
            except Invalid as error:
                return self.bad(path, error.problem, scalar.expected, error.meant)
        table = table_of(annotation)
        if table is not None:
            return self.chosen(bare(annotation), table, raw, path)
        if (key := shorthand_of(annotation)) is not None:
            raw = raw if isinstance(raw, Mapping) else {key: raw}
        annotation = bare(annotation)
        origin = typing.get_origin(annotation) or annotation
        if origin in (dict, Mapping):
            return self.mapping(annotation, raw, path)
        if origin in (tuple, list):
            return self.sequence(annotation, raw, path)
        if isinstance(origin, type) and issubclass(origin, msgspec.Struct):
            return self.struct(origin, raw, path)
        if isinstance(origin, type) and issubclass(origin, Enum):
            return self.choice(origin, raw, path)
        return self.plain(annotation, raw, path)

    def plain(self, annotation: Any, raw: Any, path: str) -> Any:
        if annotation is Any:
            return raw
        if annotation is bool:
            words = {
                "true": True,
                "yes": True,
                "on": True,
                "1": True,
                "false": False,
                "no": False,
                "off": False,
                "0": False,
            }
            if isinstance(raw, bool):
                return raw
            if isinstance(raw, str) and raw.lower() in words:
                return words[raw.lower()]
            return self.bad(path, f"{quoted(raw)} is not a truth value", "true or false")
        if annotation is int:
            if isinstance(raw, int) and not isinstance(raw, bool):
                return raw
            if isinstance(raw, str) and re.fullmatch(r"-?\d+", raw.strip()):
                return int(raw)
            return self.bad(path, f"{quoted(raw)} is not a whole number", "a whole number")
        if annotation is float:
            try:
                if not isinstance(raw, bool):
                    return float(raw)
            except (TypeError, ValueError):
                pass  # told below
            return self.bad(path, f"{quoted(raw)} is not a number", "a number")
        if annotation is str:
            if isinstance(raw, str) or (isinstance(raw, int) and not isinstance(raw, bool)):
                return str(raw)
            # YAML reads 1.10 as 1.1: only quotes keep it.
            return self.bad(path, f"{quoted(raw)} is not text", "text, in quotes" if isinstance(raw, float) else "text")
        raise TypeError(f"{path}: the schema holds {annotation!r}, which load() does not know")

    def choice(self, kind: type[Enum], raw: Any, path: str) -> Any:
        words = [str(member.value) for member in kind]
        if isinstance(raw, str) and raw in words:
            return kind(raw)
        near = difflib.get_close_matches(str(raw), words, 1)
        return self.bad(path, f"{quoted(raw)} is not known", one_of(words), near[0] if near else None)

    def sequence(self, annotation: Any, raw: Any, path: str) -> Any:
        item = typing.get_args(annotation)[0]
        if not isinstance(raw, list | tuple):
            return self.bad(path, f"{quoted(raw)} is not a list", "a list")
        return tuple(self.value(item, element, f"{path}.{index}") for index, element in enumerate(raw))

    def mapping(self, annotation: Any, raw: Any, path: str) -> Any:
        name, item = typing.get_args(annotation)
        if not isinstance(raw, Mapping):
            return self.bad(path, f"{quoted(raw)} is not a mapping", "a mapping")
        loaded = {}
        for key, element in raw.items():
            at = join(path, str(key))
            self.value(name, str(key), at)
            loaded[str(key)] = self.value(item, element, at)
        return loaded

    def chosen(self, base: type[msgspec.Struct], table: Table, raw: Any, path: str) -> Any:
        words = list(table.kinds)
        if not isinstance(raw, Mapping):
            return self.bad(path, f"{quoted(raw)} is not a mapping", f"a mapping with {table.key}: {one_of(words)}")
        name = raw.get(table.key)
        if isinstance(name, str) and name in table.kinds:
            return self.struct(table.kinds[name], {k: v for k, v in raw.items() if k != table.key}, path)
        if table.key not in raw:
            self.bad(path, f"{table.key} is missing", f"{table.key}: {one_of(words)}")
        else:
            near = difflib.get_close_matches(str(name), words, 1)
            self.bad(join(path, table.key), f"{quoted(name)} is not known", one_of(words), near[0] if near else None)
        common = hints(base)
        self.struct(base, {k: v for k, v in raw.items() if k in common}, path)  # right or wrong whatever the kind
        return _FAILED

    def struct(self, kind: type[msgspec.Struct], raw: Any, path: str) -> Any:
        if raw is None and not path:
            raw = {}
        if not isinstance(raw, Mapping):
            return self.bad(path, f"{quoted(raw)} is not a mapping", f"a mapping with {one_of(list(hints(kind)))}")
        fields = hints(kind)
        values: dict[str, Any] = {}
        for key in raw:
            if key not in fields:
                near = difflib.get_close_matches(str(key), list(fields), 1)
                self.bad(join(path, str(key)), "unknown key", one_of(list(fields)), near[0] if near else None)
                values |= dict.fromkeys(near, _FAILED)  # what is misspelt is not missing
        required = {f.name for f in msgspec.structs.fields(kind) if f.required}
        for name, annotation in fields.items():
            if raw.get(name) is not None:  # None is a key with everything below it commented out
                values[name] = self.value(annotation, raw[name], join(path, name))
            elif not self.whole:
                values[name] = _FAILED
            elif name in required and name not in values:
                expected = next((m.expected for m in (scalar_of(annotation), *rules_of(annotation)) if m), "a value")
                values[name] = self.bad(join(path, name), "missing", expected)
        made = kind(**values)
        self.check(path, made.problems() if hasattr(made, "problems") else ())
        return made


def join(path: str, key: str) -> str:
    return f"{path}.{key}" if path and key else path or key


def one_of(words: list[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]
