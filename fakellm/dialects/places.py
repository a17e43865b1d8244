"""Places in a JSON body: what is there, and what its declared type allows there.

Used on the way to an error message only. It must never raise, whatever the body: what cannot be
told is ``None`` or empty.
"""

from itertools import islice
from typing import Any, get_type_hints

import msgspec
from msgspec import Struct
from msgspec.inspect import DictType, ListType, LiteralType, StructType, Type, UnionType, type_info

_KEYS_TRIED_AT_MOST = 1000
_KEY_SHOWN_AT_MOST = 64


class Place(Struct, frozen=True, kw_only=True):
    """A place in a body.

    Attributes:
        path: where, such as ``messages[0].role``; empty for the body itself.
        value: what is there.
        declared: what may be there, one type for each alternative.
        fields: the fields of records that are there, as record and name.
    """

    path: str
    value: Any
    declared: tuple[Type, ...]
    fields: tuple[tuple[type[Any], str], ...] = ()

    def step(self, name: str) -> "Place":
        """The place of a field, in a record or a map."""
        fitting = [one for one in self._fitting() if isinstance(one, StructType)]
        found = [(one, field) for one in fitting for field in one.fields]
        found = [(one, field) for one, field in found if field.encode_name == name]
        tags = tuple(one.tag for one in fitting if one.tag_field == name)
        declared: list[Type] = [LiteralType(tags)] if tags else []
        declared += [kind for _, field in found for kind in alternatives(field.type)]
        declared += [
            kind
            for one in self.declared
            if isinstance(one, DictType)
            for kind in alternatives(one.value_type)
        ]
        value = self.value.get(name) if isinstance(self.value, dict) else None
        shown = name if len(name) <= _KEY_SHOWN_AT_MOST else name[:_KEY_SHOWN_AT_MOST] + "..."
        return Place(
            path=f"{self.path}.{shown}".lstrip("."),
            value=value,
            declared=tuple(declared),
            fields=tuple((one.cls, field.name) for one, field in found),
        )

    def element(self, index: int) -> "Place":
        """The place of an element of an array."""
        there = isinstance(self.value, list) and index < len(self.value)
        return Place(
            path=f"{self.path}[{index}]",
            value=self.value[index] if there else None,
            declared=tuple(
                kind
                for one in self.declared
                if isinstance(one, ListType)
                for kind in alternatives(one.item_type)
            ),
        )

    def key_refused_with(self, message: str) -> str | None:
        """Find the field of a map about which msgspec said this, in the words before the path."""
        if not isinstance(self.value, dict):
            return None
        entries: dict[str, Any] = self.value
        hints = [get_type_hints(cls, include_extras=True)[name] for cls, name in self.fields]
        for key, value in islice(entries.items(), _KEYS_TRIED_AT_MOST):
            for hint in hints:
                try:
                    msgspec.convert({key: value}, hint)
                except msgspec.ValidationError as error:
                    if str(error).startswith(f"{message} - at `"):
                        return key
        return None

    def _fitting(self) -> tuple[Type, ...]:
        """The alternatives that the value's tag chooses, or all where it chooses none."""
        if not isinstance(self.value, dict):
            return self.declared
        value = self.value
        chosen = tuple(
            one
            for one in self.declared
            if isinstance(one, StructType)
            and one.tag_field is not None
            and value.get(one.tag_field) == one.tag
        )
        return chosen or self.declared


def root(value: Any, record: type[Any]) -> Place:
    """The body itself."""
    return Place(path="", value=value, declared=alternatives(type_info(record)))


def alternatives(declared: Type) -> tuple[Type, ...]:
    """The types of a union, or the one type."""
    return tuple(declared.types) if isinstance(declared, UnionType) else (declared,)
