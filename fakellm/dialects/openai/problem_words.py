"""OpenAI's words for a body that is not what its records say.

Source: the API's own answers, as they are quoted in bug reports of its clients. A message must stay
short however long a value is.
"""

from collections.abc import Sequence

from fakellm.dialects.invalid import Problem
from fakellm.dialects.openai.errors import refuse, shown
from fakellm.model.reply import Refused

_NOT_JSON = (
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using "
    "your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not "
    "valid JSON.)"
)


def problem_words(problem: Problem) -> Refused:
    """The API's answer to a mistake, to be raised."""
    path, got = problem.path, problem.got
    match problem.kind:
        case "not_json":
            return refuse(_NOT_JSON)
        case "not_object":
            return refuse(
                f"Invalid request body: expected an object, but got {_found(got)} instead.",
                code="invalid_type",
            )
        case "missing":
            return refuse(
                f"Missing required parameter: '{path}'.",
                param=path,
                code="missing_required_parameter",
            )
        case "type":
            return refuse(
                f"Invalid type for '{path}': expected {_types(problem.expected)}, "
                f"but got {_found(got)} instead.",
                param=path,
                code="invalid_type",
            )
        case "value":
            values = _listed([f"'{value}'" for value in problem.expected])
            said = "Invalid value" if got is None else f"Invalid value: '{shown(got)}'"
            return refuse(
                f"{said}. Supported values are: {values}.",
                param=path,
                code="invalid_value",
            )
        case "number":
            where = f"'{path}'" if path else "request body"
            return refuse(
                f"Invalid {where}: number out of range.", param=path or None, code="invalid_value"
            )
        case "pattern":
            said = "string does not match pattern"
            expected = f"a string that matches the pattern '{problem.expected[0]}'"
            return _broken(problem, said, expected, None, "invalid_value")
        case "minimum" | "maximum":
            return _bound_words(problem)
    return _size_words(problem)


def _broken(problem: Problem, said: str, expected: str, found: str | None, code: str) -> Refused:
    """A rule is broken; what was ``found`` is left out where it cannot be told."""
    instead = "" if found is None else f", but got {found} instead"
    return refuse(
        f"Invalid '{problem.path}': {said}. Expected {expected}{instead}.",
        param=problem.path,
        code=code,
    )


_BOUNDS = {
    "minimum": (">=", "below minimum value", "below_min_value"),
    "maximum": ("<=", "above maximum value", "above_max_value"),
}


def _bound_words(problem: Problem) -> Refused:
    sign, said, code = _BOUNDS[problem.kind]
    name = _EXPECTED[problem.type]
    found = None if problem.got is None else number_words(problem.got)
    expected = f"a value {sign} {problem.expected[0]}"
    return _broken(problem, f"{name} {said}", expected, found, f"{name}_{code}")


def _size_words(problem: Problem) -> Refused:
    size, bound, short = problem.got, problem.expected[0], problem.kind == "short"
    if problem.type == "object":
        said, at, code = ("few", "least", "below_min") if short else ("many", "most", "above_max")
        return _broken(
            problem,
            f"too {said} properties",
            f"an object with at {at} {bound} properties",
            None if size is None else f"an object with {size} properties",
            f"object_{code}_properties",
        )
    name = "property name" if problem.key else _EXPECTED.get(problem.type, problem.type)
    code = name.replace(" ", "_")
    if short:
        said, bound, code = (
            f"{name} too short",
            f"minimum length {bound}",
            f"{code}_below_min_length",
        )
    else:
        said, bound, code = (
            f"{name} too long",
            f"maximum length {bound}",
            f"{code}_above_max_length",
        )
    found = None if size is None else f"{_a(name)} with length {size}"
    if size == 0:
        said, found, code = f"empty {name}", f"an empty {name}", f"empty_{name.replace(' ', '_')}"
    return _broken(problem, said, f"{_a(name)} with {bound}", found, code)


_EXPECTED = {
    "str": "string",
    "int": "integer",
    "float": "decimal",
    "bool": "boolean",
    "array of str": "array of strings",
    "array of object": "array of objects",
}
"""What the API calls a type; the others have the names msgspec gives them."""


def _types(types: Sequence[str]) -> str:
    # That null will do is nothing a person has to be told.
    names = [_EXPECTED.get(name, name) for name in types if name != "null"]
    return _a(names[0]) if len(names) == 1 else f"one of {_a(' or '.join(names))}"


def _found(name: str) -> str:
    if name == "null":
        return name
    return _a("decimal number" if name == "float" else _EXPECTED.get(name, name))


def _a(name: str) -> str:
    return f"{'an' if name[0] in 'aeio' else 'a'} {name}"


def _listed(items: Sequence[str]) -> str:
    if len(items) <= 2:  # noqa: PLR2004 -- a pair has no comma
        return " and ".join(items)
    return ", ".join(items[:-1]) + f", and {items[-1]}"


_DIGITS_AT_MOST = 40


def number_words(value: float) -> str:
    """A number, as far as a message has room for it."""
    # Python refuses to write thousands of digits, and nobody reads them.
    if isinstance(value, int) and abs(value) >= 10**_DIGITS_AT_MOST:
        return f"a number of more than {_DIGITS_AT_MOST} digits"
    return str(value)
