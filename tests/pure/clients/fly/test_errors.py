from __future__ import annotations

from json import dumps

import pytest

from clients.fly import errors
from clients.fly.errors import FlyError, error_of
from clients.transport import Reply


def reply(status: int, body: object = None) -> Reply:
    return Reply(status=status, headers={}, body=b"" if body is None else dumps(body).encode(), request_id="01REQ")


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"error": "bad region"}, errors.FlyRefusedError),
        (400, {"error": "MANIFEST_UNKNOWN: manifest unknown"}, errors.FlyImageMissingError),
        (401, {"error": "unauthorized"}, errors.FlyUnauthorizedError),
        (403, {"error": "machine limit"}, errors.FlyForbiddenError),
        (404, {"error": "not found"}, errors.FlyNotFoundError),
        (408, {"error": "deadline_exceeded"}, errors.FlyTransientError),
        (409, {"error": "conflict"}, errors.FlyConflictError),
        (409, {"error": "machine ID 1 lease currently held by x"}, errors.FlyLeaseHeldError),
        (409, {"error": "taken", "status": "name_taken"}, errors.FlyNameTakenError),
        (412, {"error": "machine getting replaced, refusing to start"}, errors.FlyConflictError),
        (422, {"error": "Name has already been taken", "status": "name_taken"}, errors.FlyNameTakenError),
        (422, {"error": "organization has reached its machine limit"}, errors.FlyMachineLimitError),
        (422, {"error": "please add a payment method"}, errors.FlyPaymentError),
        (422, {"error": "no room", "status": "insufficient_capacity"}, errors.FlyCapacityError),
        (412, {"error": "could not reserve resource for machine"}, errors.FlyCapacityError),
        (429, None, errors.FlyRateLimitedError),
        (503, {"message": "try later"}, errors.FlyTransientError),
        (418, None, errors.FlyRefusedError),
    ],
)
def test_a_reply_becomes_the_error_that_names_its_cause(status: int, body: object, kind: type[FlyError]) -> None:
    """Status, status word and text together decide the class."""
    assert type(error_of('create app "shop"', reply(status, body))) is kind


def test_an_error_is_one_sentence_with_the_request_id_and_what_to_do() -> None:
    """The text stands alone: what, what the API said, where, what next."""
    error = error_of('create app "shop"', reply(422, {"error": "Name taken.", "status": "name_taken"}))
    assert str(error) == (
        'could not create app "shop": Name taken (HTTP 422, request id 01REQ). Choose another name (fly.app).'
    )


def test_an_empty_body_still_makes_a_sentence() -> None:
    """Fly answers some refusals with nothing in them."""
    assert str(error_of("do it", reply(400))).startswith(
        "could not do it: the API gave no reason (HTTP 400, request id 01REQ)."
    )


def test_log_lines_stand_below_the_sentence() -> None:
    """The tail of a failed boot is shown with the failure."""
    text = str(errors.FlyUnhealthyError("start it", "it is stopped", log=("one", "two")))
    assert text.splitlines()[-2:] == ["  | one", "  | two"]


def test_the_tree_drawn_in_the_docstring_is_the_tree() -> None:
    """Every class of the module is drawn, and nothing else."""
    drawn = {
        word
        for word in (errors.__doc__ or "").replace("─", " ").split()
        if word.startswith("Fly") and word.endswith("Error")
    }
    real = {name for name, thing in vars(errors).items() if isinstance(thing, type) and issubclass(thing, FlyError)}
    assert drawn == real
