"""Whatever somebody pastes as a connection string, and whatever their password is."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote, urlsplit

from hypothesis import assume, given
from hypothesis import strategies as st

from settings.database import DatabaseUrl, DatabaseUrlError, is_pooler, normalise

PRINTABLE = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=16)
USERS = PRINTABLE.filter(lambda user: not re.search(r"[:@/%]", user))
HOSTS = st.sampled_from(["h", "db.example.com", "aws-0-eu-west-1.pooler.supabase.com", "10.0.0.1", "[2001:db8::1]"])
SCHEMES = st.sampled_from(["postgres", "postgresql", "postgresql+asyncpg", "postgresql+psycopg2", "POSTGRES"])
# Long, foreign and broken pieces beside the usual ones.
PIECES = st.sampled_from(
    ["postgresql://", "postgres", "://", "%zz", "%40", "::1", "sslmode=", "5432", "6543", "pw", "db", "9" * 5000]
) | st.sampled_from("@:/?#%[]&= uh٣\n\x00ä")


def read(raw: str, *, require_tls: bool = True, has_ca: bool = False) -> DatabaseUrl | None:
    try:
        return normalise(raw, require_tls=require_tls, has_ca=has_ca)
    except DatabaseUrlError:
        return None


@given(
    raw=st.text(max_size=60) | st.lists(PIECES, max_size=10).map("".join),
    tls=st.booleans(),
    ca=st.booleans(),
)
def test_any_text_is_read_or_refused_by_its_own_error(raw: str, tls: bool, ca: bool) -> None:
    """Nothing else is raised; what is read can be written, and is_pooler answers for every text."""
    found = read(raw, require_tls=tls, has_ca=ca)
    is_pooler(raw)
    if found is not None:
        again = normalise(found.url, require_tls=tls, has_ca=ca)
        assert again == found
        assert again.url == found.url


@given(
    scheme=SCHEMES, user=USERS, password=PRINTABLE, host=HOSTS, database=st.sampled_from(["db", "postgres", "my-db"])
)
def test_a_raw_password_survives(scheme: str, user: str, password: str, host: str, database: str) -> None:
    """Any printable password without a percent sign, pasted as it is: what Prefect is given decodes to the same."""
    assume("%" not in password)
    found = normalise(f"{scheme}://{user}:{password}@{host}/{database}", require_tls=True)
    assert (found.user, found.password, found.host, found.name) == (user, password, host, database)
    parts = urlsplit(found.url)
    assert unquote(parts.password or "") == password
    assert unquote(parts.username or "") == user
    assert normalise(found.url, require_tls=True).url == found.url


@given(password=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=16), host=HOSTS)
def test_an_encoded_password_survives(password: str, host: str) -> None:
    """Any text at all, percent-encoded as the rules of URLs want it."""
    found = normalise(f"postgresql://u:{quote(password, safe='')}@{host}/db", require_tls=True)
    assert found.password == password
    assert normalise(found.url, require_tls=True).password == password


@given(
    password=st.from_regex(r"canary[a-z@/?#:&=]{0,12}canary(?:@h\?(?:x|sslmode)=canary)?", fullmatch=True),
    tail=st.lists(PIECES, max_size=6),
)
def test_no_refusal_repeats_the_password(password: str, tail: list[str]) -> None:
    """Whatever is wrong with the rest."""
    said = ""
    try:
        normalise(f"postgresql://u:{password}@{''.join(tail)}", require_tls=True)
    except DatabaseUrlError as refused:
        said = str(refused)
    assert "canary" not in said
