"""How `init` gets its answers."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

import pytest

from ops.errors import OpsError
from ops.init_questions import Questions, StandardTerminal, matching

NUMBER = matching(r"\d+", "give a number")


class Typist:
    """A terminal at which somebody types these lines."""

    def __init__(self, *lines: str) -> None:
        self.lines = list(lines)
        self.shown: list[str] = []

    def ask(self, text: str) -> str:
        """Type the next line."""
        self.shown.append(text)
        return self.lines.pop(0)

    def ask_secret(self, text: str) -> str:
        """Type it unseen."""
        return self.ask(f"hidden {text}")

    def say(self, text: str) -> None:
        """See a line."""
        self.shown.append(text)


def test_a_flag_is_not_asked_for() -> None:
    """What a flag gives is checked and taken; the terminal stays silent."""
    typist = Typist()
    assert Questions({"count": "7"}, typist).answer("count", "how many", check=NUMBER) == "7"
    assert typist.shown == []


def test_a_wrong_answer_is_asked_again() -> None:
    """Nothing and something wrong are asked again, with what is wrong about it."""
    typist = Typist("", "seven", "7")
    assert Questions({}, typist).answer("count", "how many", check=NUMBER) == "7"
    assert typist.shown == ["how many: ", "how many: ", "  give a number", "how many: "]


@pytest.mark.parametrize(
    ("typed", "taken"), [("2", "second"), ("first", "first"), ("3", "3"), ("0", "0"), ("", "usual")]
)
def test_a_choice_is_made_by_number_or_name(typed: str, taken: str) -> None:
    """Choices are listed with numbers; a number that is none of them is a name; nothing takes the default."""
    typist = Typist(typed)
    found = Questions({}, typist).answer("which", "which one", default="usual", choices=["first", "second"])
    assert found == taken
    assert typist.shown == ["    1  first", "    2  second", "which one [usual]: "]


def test_a_secret_is_asked_for_unseen() -> None:
    """It is typed at the hidden prompt, and again until it is right; a variable's value comes first."""
    typist = Typist("", "x", "42")
    assert Questions({}, typist).secret("", "the code", "CODE", NUMBER) == "42"
    assert typist.shown == ["hidden the code: ", "hidden the code: ", "  give a number", "hidden the code: "]
    assert Questions({}, Typist()).secret("43", "the code", "CODE", NUMBER) == "43"


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (
            lambda asked: asked.answer("server_app", "its name"),
            'could not read flag "--server-app": it is not set, and there is no terminal to ask in.',
        ),
        (
            lambda asked: asked.answer("count", "how many", default="x", check=NUMBER),
            "could not use --count: give a number. Give another value.",
        ),
        (
            lambda asked: asked.secret("", "the code", "CODE", NUMBER),
            "could not read CODE: it is not set, and there is no terminal to ask in.",
        ),
        (
            lambda asked: asked.secret("x", "the code", "CODE", NUMBER),
            "could not use CODE: give a number. Give another value.",
        ),
    ],
)
def test_without_a_terminal_a_missing_answer_is_one_sentence(ask: Callable[[Questions], str], sentence: str) -> None:
    """Nobody can be asked: the flag or the variable is named, and a wrong value of it too."""
    with pytest.raises(OpsError) as failed:
        ask(Questions({}, None))
    assert str(failed.value) == sentence


def test_questions_go_to_standard_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output is left to the report; the end of the input interrupts."""
    monkeypatch.setattr("sys.stdin", io.StringIO(" typed \n"))
    terminal = StandardTerminal()
    terminal.say("a line")
    assert terminal.ask("name: ") == "typed"
    assert capsys.readouterr() == ("", "a line\nname: ")
    with pytest.raises(KeyboardInterrupt):
        terminal.ask("name: ")


def test_a_secret_is_read_without_echo(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hidden prompt is getpass's, on standard error."""
    asked: list[object] = []

    def unseen(text: str, stream: object) -> str:
        asked.append((text, stream))
        return " hidden "

    monkeypatch.setattr("getpass.getpass", unseen)
    assert StandardTerminal().ask_secret("code: ") == "hidden"
    assert asked == [("code: ", sys.stderr)]
