"""What became of a request without an answer, told by real failures of real sockets on this machine."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
import trustme

from clients.silence import NoAnswerError
from clients.transport import Api, Call, RetryPolicy, Transport, no_progress
from tests.support.waiting import PATIENCE


def failure(address: str, read_timeout: float = 60.0, authority: Path | None = None) -> NoAnswerError:
    """Send one POST to `address`, trusting one authority alone if it is given, and return why no answer came."""
    policy = RetryPolicy(attempts=1, read_timeout=read_timeout)
    session = requests.Session()
    session.trust_env = False
    session.verify = str(authority) if authority else True
    api = Api(base_url=address, title="a test")
    transport = Transport(api, policy=policy, progress=no_progress, session=session)
    with pytest.raises(NoAnswerError) as caught:
        transport.send(Call(method="POST", path="/", json={"a": 1}))
    return caught.value


@contextmanager
def server(behave: Callable[[socket.socket], None]) -> Iterator[int]:
    """Accept one connection and treat it so; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                behave(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(timeout=600)


def test_a_closed_port_refuses_and_nothing_was_sent() -> None:
    """The port was ours a moment ago, so nobody listens there."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    silence = failure(f"http://127.0.0.1:{port}")
    assert (str(silence), silence.maybe_sent) == ("the connection was refused", False)


def test_a_reset_after_the_request_leaves_its_effect_open() -> None:
    """The server reads the request and resets the connection instead of answering."""

    def reset(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with server(reset) as port:
        silence = failure(f"http://127.0.0.1:{port}")
    assert (str(silence), silence.maybe_sent) == ("the connection broke before the answer", True)


def test_a_connection_that_is_closed_without_an_answer_leaves_its_effect_open() -> None:
    """The server reads the request and hangs up."""

    def hang_up(connection: socket.socket) -> None:
        connection.recv(65536)

    with server(hang_up) as port:
        silence = failure(f"http://127.0.0.1:{port}")
    assert (str(silence), silence.maybe_sent) == ("the connection broke before the answer", True)


def test_a_name_that_nobody_has_is_not_resolved() -> None:
    """`.invalid` is reserved for names that never exist (RFC 2606)."""
    silence = failure("http://prefect-fly.invalid")
    assert (str(silence), silence.maybe_sent) == ("the host name could not be resolved", False)


def test_a_server_without_tls_fails_the_handshake() -> None:
    """Https to a server that speaks plain HTTP: nothing of the request was sent."""

    def plain(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    with server(plain) as port:
        silence = failure(f"https://127.0.0.1:{port}")
    assert (str(silence), silence.maybe_sent) == ("the TLS connection failed", False)


@pytest.mark.parametrize(
    ("name", "days", "trusted", "said"),
    [
        ("localhost", -1, True, "certificate has expired"),
        ("localhost", 1, False, "unable to get local issuer certificate"),
        ("elsewhere.example", 1, True, "Hostname mismatch, certificate is not valid for 'localhost'"),
    ],
    ids=["expired", "unknown authority", "another name"],
)
def test_a_certificate_that_is_not_accepted_is_named(
    tmp_path: Path, name: str, days: int, trusted: bool, said: str
) -> None:
    """An expired one, one of an authority that nobody trusts, one of another name: the reason is in the sentence."""
    ours, other = trustme.CA(), trustme.CA()
    now = datetime.now(UTC)
    made = ours.issue_cert(name, not_before=now - timedelta(days=9), not_after=now + timedelta(days=days))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.configure_cert(context)
    (ours if trusted else other).cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    def shake_hands(connection: socket.socket) -> None:
        with suppress(OSError):
            context.wrap_socket(connection, server_side=True)

    with server(shake_hands) as port:
        silence = failure(f"https://localhost:{port}", authority=tmp_path / "ca.pem")
    assert (str(silence), silence.maybe_sent) == (f"its certificate is not accepted: {said}", False)


def test_a_server_that_never_answers_is_given_up_and_may_have_done_it() -> None:
    """The answer does not come within the time allowed."""
    done = threading.Event()

    def stay_silent(_connection: socket.socket) -> None:
        done.wait(PATIENCE)

    with server(stay_silent) as port:
        silence = failure(f"http://127.0.0.1:{port}", read_timeout=0.2)
        done.set()
    assert (str(silence), silence.maybe_sent) == ("no answer within 0 s", True)
