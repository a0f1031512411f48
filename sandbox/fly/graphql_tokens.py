"""Access tokens as flyctl asks for them: `tokens list`, `create deploy`, `create org`, `revoke`. None expires here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.core.clock import Clock
from sandbox.fly.errors import Forbidden, NotFound, Unprocessable
from sandbox.fly.models import App, Token
from sandbox.fly.state import FlyState

_TWENTY_YEARS = 20 * 365 * 86_400.0
_PROFILES = frozenset({"deploy", "deploy_organization"})


def user(email: str) -> dict[str, Any]:
    """Return the schema's `User`."""
    return {"id": "user", "email": email, "name": email, "enablePaidHobby": True}


class AccessTokens:
    """The tokens that a caller with these tokens may see, make and revoke."""

    def __init__(self, state: FlyState, clock: Clock, callers: list[Token]) -> None:
        self._state = state
        self._clock = clock
        self._callers = callers

    def of_app(self, app: App) -> Mapping[str, Any]:
        """Return the tokens of one app alone."""
        return self._listed(token for token in self._state.tokens if app.name in (token.apps or []))

    def of_organization(self, org: str) -> Mapping[str, Any]:
        """Return the tokens of a whole organization."""
        return self._listed(token for token in self._state.tokens if token.org == org and token.apps is None)

    def create(self, input: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: A002 - GraphQL's argument
        """Mint a token: of an organization, or of the app that the profile's parameters name.

        Raises:
            Forbidden: the caller's tokens do not cover the organization.
            Unprocessable: a profile that is not served.
        """
        org = str(input["organizationId"])
        if not any(token.org == org and token.apps is None for token in self._callers):
            raise Forbidden("Not authorized to create tokens in this organization")
        if input["profile"] not in _PROFILES:
            raise Unprocessable(f"the sandbox makes no tokens of profile {input['profile']}")
        app = (input.get("profileParams") or {}).get("app_id")
        apps = None if input["profile"] == "deploy_organization" else [self._state.app(self._callers, str(app)).name]
        token = self._state.add_token(org, apps, name=str(input["name"]))
        return {"limitedAccessToken": self._shown(token) | {"tokenHeader": f"FlyV1 {token.value}"}}

    def delete(self, input: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: A002 - GraphQL's argument
        """Revoke a token by its id.

        Raises:
            NotFound: the caller's organizations have none of this id.
        """
        mine = {token.org for token in self._callers}
        found = [token for token in self._state.tokens if token.token_id == input.get("id") and token.org in mine]
        if not found:
            raise NotFound("Could not find LimitedAccessToken")
        self._state.tokens.remove(found[0])
        return {"token": None}

    def _listed(self, tokens: Any) -> Mapping[str, Any]:
        return {"nodes": [self._shown(token) for token in tokens]}

    def _shown(self, token: Token) -> dict[str, Any]:
        return {
            "id": token.token_id,
            "name": token.name,
            "token": "",  # whoever did not keep it when it was made has lost it
            "tokenHeader": None,
            "createdAt": self._clock.rfc3339(token.created_at),
            "expiresAt": self._clock.rfc3339(token.created_at + _TWENTY_YEARS),
            "revokedAt": None,
            "user": user(token.user),
        }
