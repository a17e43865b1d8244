"""Replies: over a file and over Python; then what only files, and what only Python, has."""

from tests.scenarios.cases import FromFile, FromPython, conduct, replies, sequences


class PartFileTests(FromFile, replies.PartTests):
    pass


class PartPythonTests(FromPython, replies.PartTests):
    pass


class BesideFileTests(FromFile, replies.BesideTests):
    pass


class BesidePythonTests(FromPython, replies.BesideTests):
    pass


class ErrorFileTests(FromFile, replies.ErrorTests):
    pass


class ErrorPythonTests(FromPython, replies.ErrorTests):
    pass


class TemplateFileTests(FromFile, replies.TemplateTests):
    pass


class TemplatePythonTests(FromPython, replies.TemplateTests):
    pass


class SequenceFileTests(FromFile, sequences.SequenceTests):
    pass


class SequencePythonTests(FromPython, sequences.SequenceTests):
    pass


class OrderFileTests(FromFile, sequences.OrderTests):
    pass


class OrderPythonTests(FromPython, sequences.OrderTests):
    pass


class StateFileTests(FromFile, sequences.StateTests):
    pass


class StatePythonTests(FromPython, sequences.StateTests):
    pass


class ConductFileTests(FromFile, conduct.ConductTests):
    pass


class ConductPythonTests(FromPython, conduct.ConductTests):
    pass
