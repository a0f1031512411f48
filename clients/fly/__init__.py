"""Typed client for Fly.io: the API's nouns in `FlyClient`, sequences of calls in `operations`."""

from clients.fly.client import FlyClient
from clients.fly.errors import FlyError

__all__ = ["FlyClient", "FlyError"]
