"""The control API under ``/_fakellm/``: what a test sees of a server and does to it, from outside.

Answers are JSON; errors are ``application/problem+json`` (RFC 9457). Who may use it is for
`fakellm.web.control.safety`; each subject's routes are declared in a module of their own, and
described at ``/_fakellm/openapi.json``.
"""

from fakellm.web.control.control import Control, Over
from fakellm.web.control.resource import PREFIX

__all__ = ["PREFIX", "Control", "Over"]
