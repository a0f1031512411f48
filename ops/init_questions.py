"""What `init` asks: each question once, from a flag, a terminal or its default; a wrong answer is asked again."""

from __future__ import annotations

import getpass
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from ops.errors import OpsError

Check = Callable[[str], str]
"""Returns the answer in its final form, or raises ValueError with what is wrong with it."""


class Terminal(Protocol):
    """Where a person answers."""

    def ask(self, text: str) -> str:
        """Show a question and return the line that was typed."""

    def ask_secret(self, text: str) -> str:
        """The same without showing what is typed."""

    def say(self, text: str) -> None:
        """Show a line."""


class StandardTerminal:
    """Standard input and, for the questions, standard error: standard output is for the report."""

    def ask(self, text: str) -> str:
        """Show a question and return the line that was typed."""
        self._write(text)
        line = sys.stdin.readline()
        if not line:
            raise KeyboardInterrupt  # the end of the input, as Ctrl-D gives it
        return line.strip()

    def ask_secret(self, text: str) -> str:
        """The same without showing what is typed."""
        return getpass.getpass(text, stream=sys.stderr).strip()

    def say(self, text: str) -> None:
        """Show a line."""
        self._write(f"{text}\n")

    @staticmethod
    def _write(text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


class Questions:
    """Asks for what no flag gives.

    Args:
        flags: the flags' values by name with underscores; empty or None where not given.
        terminal: where to ask; None takes defaults, and a question without one is an error.
    """

    def __init__(self, flags: Mapping[str, object], terminal: Terminal | None) -> None:
        self._flags, self._terminal = flags, terminal

    def answer(
        self, flag: str, text: str, *, default: str = "", choices: Sequence[str] = (), check: Check = str
    ) -> str:
        """Return the answer to one question.

        Args:
            flag: its flag's name with underscores.
            text: the question.
            default: taken when nothing is answered.
            choices: what there is to choose from, by number or name; anything else may be answered too.
            check: of the answer.

        Raises:
            OpsError: the flag's value is wrong, or nobody can be asked.
        """
        spelled = "--" + flag.replace("_", "-")
        given = str(self._flags.get(flag) or "")
        if given or self._terminal is None:
            if not (given or default):
                raise OpsError(f'could not read flag "{spelled}": it is not set, and there is no terminal to ask in.')
            return self._checked(given or default, check, spelled)
        for number, choice in enumerate(choices, 1):
            self._terminal.say(f"  {number:>3}  {choice}")
        while True:
            typed = self._terminal.ask(f"{text} [{default}]: " if default else f"{text}: ") or default
            typed = _chosen(typed, choices)
            try:
                if typed:
                    return check(typed)
            except ValueError as wrong:
                self._terminal.say(f"  {wrong}")

    def secret(self, value: str, text: str, variable: str, check: Check) -> str:
        """Return a secret from a variable's `value`, or as it is typed unseen.

        Raises:
            OpsError: the variable's value is wrong, or nobody can be asked.
        """
        if value or self._terminal is None:
            if not value:
                raise OpsError(f"could not read {variable}: it is not set, and there is no terminal to ask in.")
            return self._checked(value, check, variable)
        while True:
            try:
                if typed := self._terminal.ask_secret(f"{text}: "):
                    return check(typed)
            except ValueError as wrong:
                self._terminal.say(f"  {wrong}")

    @staticmethod
    def _checked(value: str, check: Check, name: str) -> str:
        try:
            return check(value)
        except ValueError as wrong:
            raise OpsError(f"could not use {name}: {wrong}. Give another value.") from wrong


def matching(pattern: str, sentence: str) -> Check:
    """Return a check that the whole answer matches a regular expression."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(sentence)
        return text

    return check


def _chosen(typed: str, choices: Sequence[str]) -> str:
    return choices[int(typed) - 1] if typed.isdecimal() and 0 < int(typed) <= len(choices) else typed
