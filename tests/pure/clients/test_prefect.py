from __future__ import annotations

import pytest
import requests

from clients.endpoints import World, WrongWorldError
from clients.prefect import (
    Credential,
    PrefectAnswerError,
    PrefectClient,
    PrefectUnauthorizedError,
    PrefectUnreachableError,
)
from clients.prefect_answers import KeyUse
from tests.support.scripted_http import ScriptedSession, answer

CREDENTIAL = Credential(name="verify", key="pf_a:b")


def client(*steps: requests.Response | Exception) -> tuple[PrefectClient, ScriptedSession]:
    session = ScriptedSession(*steps)
    return PrefectClient.at("http://127.0.0.1:4200/", World.SANDBOX, session), session


def test_a_credential_keeps_colons_in_the_key_and_its_key_out_of_sight() -> None:
    """Only the first colon divides; repr never shows the key."""
    assert Credential.parse(" verify:pf_a:b ") == CREDENTIAL
    assert "pf_a" not in repr(CREDENTIAL)
    assert CREDENTIAL.basic() == "Basic dmVyaWZ5OnBmX2E6Yg=="
    assert CREDENTIAL.bearer() == "Bearer pf_a:b"


def test_key_use_is_read_from_the_machine_asked_for() -> None:
    """The machine is forced by its header, unknown fields are ignored, and null stays None."""
    keys = {"orchestrator": {"accepted": 2, "refused": 0, "last_accepted": None, "client_version": "3.8.8", "new": 1}}
    keys["orchestrator"] |= {"client_seen": 2}
    prefect, session = client(answer(200, {"keys": keys, "started_at": 1.0}))
    use = KeyUse(accepted=2, refused=0, last_accepted=None, client_version="3.8.8", client_seen=2.0)
    assert prefect.key_use(CREDENTIAL, "1857156b526dd8") == {"orchestrator": use}
    assert session.sent[0].url == "http://127.0.0.1:4200/gate/keys"
    assert session.sent[0].headers["fly-force-instance-id"] == "1857156b526dd8"
    assert session.sent[0].headers["Authorization"] == CREDENTIAL.basic()


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (answer(401), PrefectUnauthorizedError),
        (answer(404), PrefectAnswerError),
        (answer(200, ["keys"]), PrefectAnswerError),
        (requests.ConnectTimeout(), PrefectUnreachableError),
    ],
)
def test_what_is_no_list_of_keys_is_a_typed_error(step: requests.Response | Exception, kind: type[Exception]) -> None:
    """Refused, not ours and not reachable are told apart; none shows the credential, none is retried."""
    prefect, session = client(step)
    with pytest.raises(kind) as failure:
        prefect.key_use(CREDENTIAL)
    assert "pf_a" not in str(failure.value)
    assert len(session.sent) == 1


def test_ready_means_200() -> None:
    """503, which says that the database is away, is not ready."""
    client(answer(200))[0].ready()
    with pytest.raises(PrefectAnswerError, match="/api/ready answered HTTP 503"):
        client(answer(503))[0].ready()


def test_a_probe_without_credentials_sends_none() -> None:
    """The anonymous probe has no Authorization header, so that an open server cannot hide behind ours."""
    prefect, session = client(answer(401))
    assert prefect.api_status() == 401
    assert "Authorization" not in session.sent[0].headers


def test_the_other_world_is_refused() -> None:
    """A real stack never asks this machine, a sandbox stack nobody else."""
    with pytest.raises(WrongWorldError):
        PrefectClient.at("http://127.0.0.1:4200", World.REAL)
    with pytest.raises(WrongWorldError):
        PrefectClient.at("https://captionacc-prefect.fly.dev", World.SANDBOX)
