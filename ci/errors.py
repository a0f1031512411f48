"""The one error of the workflows' steps."""

from __future__ import annotations


class CiError(Exception):
    """A step cannot be done; the text is one sentence with the next step."""
