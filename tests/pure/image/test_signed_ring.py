"""What the program signs is what the image takes for genuine."""

from __future__ import annotations

from prefect_server.signed_ring import SignedRing, Signer

from clients import signing

SECRET = "a signing secret"
RING = '{"jürgen": "…"}'


def test_program_and_image_agree() -> None:
    """The two ends share no code, so their proofs are compared."""
    mac = signing.ring_mac(SECRET, 1_795_464_706_000, RING)
    signer = Signer(SECRET)
    assert signer.is_genuine(SignedRing(generation=1_795_464_706_000, ring=RING, mac=mac))
    assert not signer.is_genuine(SignedRing(generation=1_795_464_706_001, ring=RING, mac=mac))
    assert signing.publisher(SECRET) == signer.publisher


def test_nothing_secret_in_a_text_of_it() -> None:
    """Neither ring nor proof stands in what a log or a traceback would show."""
    assert repr(Signer(SECRET).sign(3, RING)) == "SignedRing(generation=3)"
