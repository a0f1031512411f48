"""IP addresses of an app (`/apps/{app}/ip_assignments`)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import StrEnum

from clients.fly.wire import Wire, path
from clients.looks import SharedLooks
from clients.shapes import identity, listed, whole_object
from clients.transport import Call


class Kind(StrEnum):
    """The kinds of address that this project uses: the public ones are free of charge, the private one is Flycast's."""

    SHARED_V4 = "shared_v4"
    V6 = "v6"
    PRIVATE_V6 = "private_v6"


@dataclass(frozen=True, kw_only=True)
class Address:
    """An address. It has no id: the address itself is the key."""

    ip: str
    shared: bool

    @classmethod
    def from_wire(cls, body: object) -> Address:
        """Read a reply; unknown fields are ignored.

        Raises:
            ShapeError: it is no address.
        """
        entry = whole_object(body)
        return cls(ip=identity(entry, "ip"), shared=bool(entry.get("shared")))

    def is_of(self, kind: Kind) -> bool:
        """Tell whether this is an address of `kind`; Fly's private addresses are fdaa:…."""
        try:
            parsed = ipaddress.ip_address(self.ip)
        except ValueError:
            return False
        if kind is Kind.SHARED_V4:
            return parsed.version == 4 and self.shared
        # `is_private` would also catch documentation ranges, which emulators hand out.
        private = parsed in ipaddress.ip_network("fc00::/7")
        return parsed.version == 6 and private is (kind is Kind.PRIVATE_V6)


class Addresses:
    """List, allocate and release addresses."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._looks: SharedLooks[tuple[Address, ...]] = SharedLooks()

    def glance(self, app: str, asker: str) -> tuple[Address, ...]:
        """Return the app's addresses as one call saw them for several askers; what is missing may be there by now.

        Raises:
            FlyNotFoundError: no such app, or none that this token may see.
        """
        return self._looks.at(app, asker, lambda: self.list(app))

    def list(self, app: str) -> tuple[Address, ...]:
        """Return the app's addresses.

        Raises:
            FlyNotFoundError: no such app, or none that this token may see.
        """
        doing = f'list the addresses of app "{app}"'
        return self._wire.get(doing, path("apps", app, "ip_assignments"), _addresses, pace=f"list-ips:{app}")

    def allocate(self, app: str, kind: Kind) -> Address:
        """Allocate an address. Doing it twice gives two: list before, and after an answer that was lost."""
        self._looks.forget(app)
        return self._wire.read(
            f'allocate a {kind} address for app "{app}"',
            Call(
                method="POST",
                path=path("apps", app, "ip_assignments"),
                json={"type": str(kind)},
                pace=f"allocate-ip:{app}",
                reads=True,
            ),
            Address.from_wire,
        )

    def release(self, app: str, ip: str) -> None:
        """Release an address.

        Raises:
            FlyNotFoundError: the address, or the app, is not there.
        """
        self._looks.forget(app)
        self._wire.send(
            f'release address "{ip}" of app "{app}"',
            Call(
                method="DELETE",
                path=path("apps", app, "ip_assignments", ip),
                idempotent=True,
                pace=f"release-ip:{app}",
            ),
        )


def _addresses(body: object) -> tuple[Address, ...]:
    return tuple(Address.from_wire(entry) for entry in listed(body, "ips"))
