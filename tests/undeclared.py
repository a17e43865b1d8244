"""What answers have that the types of vendors' SDKs do not know."""

from collections.abc import Iterator

from pydantic import BaseModel


def undeclared(value: object, path: str = "$") -> Iterator[str]:
    """The paths of all fields in it that the SDK's types do not declare."""
    if isinstance(value, BaseModel):
        for name in value.model_extra or ():
            yield f"{path}.{name}"
        for name in type(value).model_fields:
            yield from undeclared(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from undeclared(item, f"{path}[{index}]")
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from undeclared(item, f"{path}.{name}")
