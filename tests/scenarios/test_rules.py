"""Rules: the conditions of the language, over a file and over Python; then what Python adds."""

from tests.scenarios.cases import FromFile, FromPython, conditions


class TextFileTests(FromFile, conditions.TextTests):
    pass


class TextPythonTests(FromPython, conditions.TextTests):
    pass


class NumberFileTests(FromFile, conditions.NumberTests):
    pass


class NumberPythonTests(FromPython, conditions.NumberTests):
    pass


class ConversationFileTests(FromFile, conditions.ConversationTests):
    pass


class ConversationPythonTests(FromPython, conditions.ConversationTests):
    pass


class RequestFileTests(FromFile, conditions.RequestTests):
    pass


class RequestPythonTests(FromPython, conditions.RequestTests):
    pass
