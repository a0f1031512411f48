"""Typed client for Fly.io: nouns in `FlyClient`, sequences of calls in `deployment`, `one_off` and `rollout`."""

from clients.fly.client import FlyClient
from clients.fly.errors import FlyError

__all__ = ["FlyClient", "FlyError"]
