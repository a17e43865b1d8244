"""What a YAML parser complains of, in plain words.

Both parsers of PyYAML are understood: libyaml's and its own, which differ in their wording.
"""

import re
from typing import Any

from fakellm.scenarios.mistakes import Position

BAD_ESCAPE = (
    "this is no escape: in double quotes a backslash begins one, so write it twice, or use single "
    "quotes"
)

# What the parser says; whether it happened where the construct began; what is told instead, which
# may name the line where the construct began.
_WORDS: tuple[tuple[str, bool, str], ...] = (
    (r"\btab\b", False, "a tab cannot indent: use spaces"),
    (
        r"mapping values are not allowed",
        False,
        "':' is not expected here: quote the text, or indent the key like its neighbours",
    ),
    (
        r"sequence entries are not allowed",
        False,
        "a list cannot begin here: put '- ' on a line of its own",
    ),
    (
        r"unexpected end of stream|unexpected document (indicator|separator)",
        True,
        "this quoted text is never closed",
    ),
    (r"could not find expected ':'", True, "expected 'key: value'"),
    (r"expected ',' or '[]}]'.*<stream end>", True, "this bracket is never closed"),
    (
        r"node content.*<stream end>",
        False,
        "the file ends where a value is expected: is a bracket not closed?",
    ),
    (r"node content", False, "expected a value"),
    (r"expected ',' or '\]'", False, "expected ',' or ']' in the list begun in line {line}"),
    (r"expected ',' or '}'", False, "expected ',' or '}}' in the mapping begun in line {line}"),
    (r"escape|hexa?decimal", False, BAD_ESCAPE),
    (
        r"\btag\b",
        False,
        "a tag (a word after '!') has no meaning here: quote the text if one is meant",
    ),
    (
        r"alphabetic or numeric",
        True,
        "a name must follow '*' and '&' (alias and anchor): quote the text if one is meant",
    ),
    (
        r"'-' indicator|expected <block end>, but found '\?'",
        False,
        "expected '- ' as in the list begun in line {line}: is the indentation right?",
    ),
    (
        r"expected key|expected <block end>",
        False,
        "expected a key of the mapping begun in line {line}: is the indentation right?",
    ),
    (
        r"<document start>",
        False,
        "expected the end of the file: is the indentation right?",
    ),
)
_COMPILED = [(re.compile(pattern), begun, words) for pattern, begun, words in _WORDS]


def in_plain_words(error: Any, text: str) -> tuple[Position, str]:
    """Where a text is no YAML and why.

    Args:
        error: a `yaml.MarkedYAMLError`.
        text: what was parsed.
    """
    mark = error.problem_mark
    begun = error.context_mark or mark
    found = text[mark.index : mark.index + 1]
    problem = error.problem
    if "cannot start any token" in problem:
        problem = "tab" if found == "\t" else problem
        words = f"a text cannot begin with {found!r}: quote it"
    else:
        words = f"this is no YAML: {problem}"
    if not text[mark.index :].strip():
        # libyaml does not say that it is the end that came too soon
        problem += ", got <stream end>"
    for pattern, at_beginning, plain in _COMPILED:
        if pattern.search(problem):
            mark = begun if at_beginning else mark
            words = plain.format(line=begun.line + 1)
            break
    return (mark.line + 1, mark.column + 1), words
