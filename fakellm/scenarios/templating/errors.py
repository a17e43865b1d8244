"""The two ways a template can be wrong: when it is read, and when it is filled in."""

Path = tuple[str | int, ...]
"""The keys and indices that lead to a text within a value."""


class BadTemplate(ValueError):
    """A text that is no template.

    Attributes:
        reason: what is wrong, in one line.
        line: where, from 1 on, within the text.
        path: where the text is within the value it is a part of.
    """

    def __init__(self, reason: str, line: int = 1, path: Path = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line
        self.path = path


class TemplateFailed(Exception):
    """A template that cannot be filled in for this request.

    Attributes:
        reason: what went wrong, in one line, for a person.
        line: where, from 1 on, within the text of the template, if that is known.
        path: where the text is within the value it is a part of.
    """

    def __init__(self, reason: str, line: int | None = None, path: Path = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line
        self.path = path
