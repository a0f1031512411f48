"""An automation that calls a local webhook when a custom event comes. Prints one JSON line."""

# mypy: ignore-errors
# It runs in Prefect's own environment, which the checks do not have.

import asyncio
import json
import threading
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

from prefect import get_client
from prefect.blocks.webhook import Webhook
from prefect.events import emit_event
from prefect.events.actions import CallWebhook
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

called: list[str] = []


class Listener(BaseHTTPRequestHandler):
    """Keeps what it is sent."""

    def do_POST(self) -> None:
        """Take one call."""
        called.append(self.rfile.read(int(self.headers["content-length"])).decode())
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_) -> None:
        """Say nothing."""


async def main() -> None:
    listener = HTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    hook = Webhook(method="POST", url=f"http://127.0.0.1:{listener.server_port}/", allow_private_urls=True)
    block = await hook.save("local", overwrite=True)
    trigger = EventTrigger(expect={"alarm"}, posture=Posture.Reactive, threshold=1, within=timedelta(0))
    action = CallWebhook(block_document_id=block, payload='{"event": "{{ event.event }}"}')
    async with get_client() as client:
        await client.create_automation(AutomationCore(name="notify", trigger=trigger, actions=[action]))
    begun = time.monotonic()
    # The services learn of a new automation within seconds; until then an event is not looked at.
    while not called and time.monotonic() - begun < 400:
        emit_event("alarm", resource={"prefect.resource.id": "alarm"})
        await asyncio.sleep(2)
    print(json.dumps({"called": json.loads(called[0])["event"] if called else None}))


asyncio.run(main())
