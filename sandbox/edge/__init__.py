"""The edge: what Fly's proxy is to `<app>.fly.dev`, on loopback ports.

Every app has a port of its own, allocated when somebody asks for it, even before the app exists. The port refuses
connections until the app has a public address and a machine with a service, and a short while longer: that is what an
unresolved name looks like here. A name of one's own (a certificate's) has such a port too. A second port routes by the
Host header: `<app>.fly.localhost`, or such a name.

A request goes to one healthy machine. There is no queue: with no healthy machine the answer is 503 at once. A machine
that cannot be connected to is passed over for the next, but once a byte was sent nothing is tried again. Bodies, event
streams and websockets are passed on as they come. Client connections are not kept alive.
"""

from sandbox.edge.edge import Edge
from sandbox.edge.route import Backend, Route

__all__ = ["Backend", "Edge", "Route"]
