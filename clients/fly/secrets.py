"""Secrets of an app (`/apps/{app}/secrets`): written in bulk, never read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus

from clients.fly.errors import FlyConflictError
from clients.fly.wire import Wire, path
from clients.looks import SharedLooks
from clients.shapes import identity, listed, number, whole_object
from clients.transport import Call, Reply

_NEVER_SET = "PREFECT_FLY_VERSION_PROBE"


@dataclass(frozen=True, kw_only=True)
class Secret:
    """What the API tells about a secret: a digest, whose algorithm is not documented, and times (RFC 3339)."""

    name: str
    digest: str
    updated_at: str

    @classmethod
    def from_wire(cls, body: object) -> Secret:
        """Read a reply; unknown fields are ignored, a value that the API may show included.

        Raises:
            ShapeError: it is no secret.
        """
        entry = whole_object(body)
        return cls(
            name=identity(entry, "name"),
            digest=str(entry.get("digest") or ""),
            updated_at=str(entry.get("updated_at") or ""),
        )


@dataclass(frozen=True, kw_only=True)
class SecretsWritten:
    """A bulk write: the app-wide version it made, and the secrets that the reply named."""

    version: int
    secrets: tuple[Secret, ...]

    @property
    def digests(self) -> dict[str, str]:
        """Return the digest of each secret that the reply named."""
        return {secret.name: secret.digest for secret in self.secrets if secret.digest}


class Secrets:
    """List and write the secrets of an app."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._looks: SharedLooks[tuple[Secret, ...]] = SharedLooks()

    def glance(self, app: str, asker: str, *, min_version: int) -> tuple[Secret, ...]:
        """Return the app's secrets as one call saw them for several askers.

        It may have been asked for an older version than `min_version`: what differs has to be looked at by `list`.

        Raises:
            FlyNotFoundError: no such app, or none that this token may see.
        """
        return self._looks.at(app, asker, lambda: self.list(app, min_version=min_version))

    def list(self, app: str, *, min_version: int = 0) -> tuple[Secret, ...]:
        """Return the app's secrets without their values.

        Args:
            app: its name.
            min_version: a version that the list must include; without it, what was written in the last 2 seconds may
                be missing. A version that the app, made anew since, does not have is not insisted on.

        Raises:
            FlyNotFoundError: no such app, or none that this token may see.
        """
        doing = f'list the secrets of app "{app}"'
        call = Call(method="GET", path=path("apps", app, "secrets"), pace=f"secrets:{app}")
        try:
            return self._wire.read(
                doing, replace(call, params={"min_version": min_version} if min_version else {}), _secrets
            )
        except FlyConflictError as error:
            if not min_version or error.status != HTTPStatus.PRECONDITION_FAILED:
                raise
            return self._wire.read(doing, call, _secrets)

    def list_now(self, app: str) -> tuple[Secret, ...]:
        """Return the app's secrets with everything that was written so far, by whomever.

        Raises:
            FlyNotFoundError: no such app, or none that this token may see.
        """
        return self.list(app, min_version=self.present_version(app))

    def write(self, app: str, values: Mapping[str, str | None]) -> SecretsWritten:
        """Set the names with a value and remove those with None, in one call.

        Running machines keep what they started with until they are updated with `min_secrets_version`. The call is
        repeated after transient trouble: writing the same values twice leaves the same secrets.

        Raises:
            FlyNotFoundError: no such app, or none that this token may see.
        """
        self._looks.forget(app)
        return self._wire.read(
            f'write the secrets {_quoted(values)} of app "{app}"',
            Call(
                method="POST",
                path=path("apps", app, "secrets"),
                json={"values": dict(values)},
                idempotent=True,
                pace=f"set-secrets:{app}",
                reads=True,
                # Concurrent bulk writes to one app: the one that lost had no effect.
                retry_on=_lost_to_another_write,
            ),
            _written,
        )

    def present_version(self, app: str) -> int:
        """Return a version that includes everything written so far, for `min_secrets_version`.

        The API tells the version in replies to writes only, so this removes a name that nobody sets.
        """
        return self.write(app, {_NEVER_SET: None}).version


def _secrets(body: object) -> tuple[Secret, ...]:
    return tuple(Secret.from_wire(entry) for entry in listed(body, "secrets"))


def _written(body: object) -> SecretsWritten:
    entry = whole_object(body)
    # Replies carry a deprecated duplicate with a capital letter.
    version = number({"version": entry.get("Version"), **entry}, "version")
    return SecretsWritten(version=version, secrets=_secrets(body))


def _lost_to_another_write(reply: Reply) -> bool:
    return reply.status == 409


def _quoted(names: Mapping[str, object]) -> str:
    return ", ".join(f'"{name}"' for name in sorted(names))
