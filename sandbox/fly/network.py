"""Loopback addresses for machines: a block 127.x.y.0/24 that no other sandbox on this computer is using.

Linux lets any process bind any 127.0.0.0/8 address. A block is claimed by listening on its first address for as long
as the sandbox runs, so that several sandboxes never hand out the same machine address.
"""

from __future__ import annotations

import random
import socket

_CLAIM_PORT = 28_127
_FIRST, _LAST = 2, 254


class NoAddressError(RuntimeError):
    """Every address of the block is in use."""


class LoopbackBlock:
    """A claimed block.

    Args:
        wanted: the prefix ("127.x.y") used before, taken again when it is free.
    """

    def __init__(self, wanted: str | None = None) -> None:
        self.prefix = ""
        self._claim: socket.socket | None = None
        self._next = _FIRST
        candidates = [wanted] if wanted else []
        # Not for secrets: two sandboxes that draw the same block are told apart by the claim.
        candidates += [f"127.{random.randint(10, 250)}.{random.randint(0, 255)}" for _ in range(50)]  # noqa: S311
        for prefix in candidates:
            if self._try(prefix):
                return
        raise NoAddressError("could not claim a loopback block for machines")

    def allocate(self, used: set[str]) -> str:
        """Return an address that is not in `used`, going round the block so that one is not reused at once.

        Raises:
            NoAddressError: all are in use.
        """
        for _ in range(_LAST - _FIRST + 1):
            address = f"{self.prefix}.{self._next}"
            self._next = _FIRST if self._next == _LAST else self._next + 1
            if address not in used:
                return address
        raise NoAddressError("the sandbox has no free machine address")

    def release(self) -> None:
        """Give the block back."""
        if self._claim is not None:
            self._claim.close()
            self._claim = None

    def _try(self, prefix: str) -> bool:
        claim = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            claim.bind((f"{prefix}.1", _CLAIM_PORT))
            claim.listen(1)
        except OSError:
            claim.close()
            return False
        self._claim, self.prefix = claim, prefix
        return True
