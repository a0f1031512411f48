"""The emulated Fly.io: Machines API, the parts of api.fly.io that are needed, machines that really run, an edge."""

from sandbox.fly.fly import Fly
from sandbox.fly.state import FlyOptions

__all__ = ["Fly", "FlyOptions"]
