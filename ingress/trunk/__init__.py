"""Many WebSockets over few calls of Serve: the proxy's end and the application's end of a trunk.

Serve carries every message of a WebSocket from the replica to the proxy as an object of its own: about a millisecond
of either process, five hundred times a second for five hundred watchers. So the guard in the proxy does not hand
sockets to Serve one by one. It opens one WebSocket of its own to the application, a trunk, over which the ASGI messages
of up to ``MAX_SOCKETS`` clients go, gathered for a moment: JSON lists of ``[kind, socket, ...]``. The application
behind sees each socket as if it had come by itself: same scope, same messages, same middleware.

A trunk that breaks off (its replica was lost, or is replaced) ends its sockets with 1012; clients connect again.

No queue on the way has bounds of its own (Serve's neither), so each socket has a window: what its client said and the
application has not taken. While it is full, that client is not read, which TCP tells it; all others go on.
"""

from ingress.trunk.application import TrunkEnd
from ingress.trunk.events import PATH
from ingress.trunk.proxy import Trunks

__all__ = ["PATH", "TrunkEnd", "Trunks"]
