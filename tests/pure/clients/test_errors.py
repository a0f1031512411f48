from __future__ import annotations

import importlib
import pkgutil

import clients
from clients import errors
from clients.errors import ApiError


def subclasses(kind: type[ApiError]) -> set[type[ApiError]]:
    direct = set(kind.__subclasses__())
    return direct.union(*(subclasses(child) for child in direct))


def all_errors() -> set[type[ApiError]]:
    for module in pkgutil.walk_packages(clients.__path__, "clients."):
        importlib.import_module(module.name)
    return {kind for kind in subclasses(ApiError) if kind.__module__.startswith("clients.")}


def test_an_error_is_a_sentence_and_what_to_do() -> None:
    """What, what the API said, where, what next; the parts are attributes."""
    error = ApiError('create app "shop"', "no", status=422, request_id="R1", advice="Choose another name.")
    assert str(error) == 'could not create app "shop": no (HTTP 422, request id R1). Choose another name.'
    assert (error.doing, error.said, error.status, error.request_id) == ('create app "shop"', "no", 422, "R1")


def test_without_an_answer_there_is_no_status() -> None:
    """None and never 0, and no empty brackets in the text."""
    error = ApiError("do it", "the connection was refused")
    assert error.status is None
    assert "(" not in str(error)


def test_what_was_said_and_logged_holds_no_credential() -> None:
    """Both pass the redaction, in the text and in the attributes; the rest of a line stays."""
    error = ApiError(
        "start machine",
        "check said postgresql://u:canary@db/x refused",
        log=("connecting to postgresql://u:canary@db.test/x", "password=canary", "ready"),
    )
    assert "canary" not in f"{error} {error.said} {error.log}"
    assert "@db/x refused" in str(error)
    assert str(error).endswith("  | ready")


def test_every_error_of_an_api_is_of_its_tree_and_has_advice() -> None:
    """One root; a class of an API is below that API's own root; each says what to do next."""
    roots = {"FlyError", "GitHubError", "BetterStackError", "PrefectError"}
    for kind in all_errors():
        parents = {parent.__name__ for parent in kind.__mro__}
        assert kind.__module__ == "clients.errors" or len(parents & roots) == 1, kind
        assert kind.advice.endswith((".", ">.")), kind


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """The kinds and the roots of the APIs are drawn, and nothing else."""
    words = (errors.__doc__ or "").replace("─", " ").split()
    drawn = {word for word in words if word.endswith("Error") and word.isidentifier()}
    kinds = {kind.__name__ for kind in ApiError.__subclasses__() if kind.__module__.startswith("clients.")}
    assert drawn == {"ApiError", *kinds}
