"""Better Stack's refusals."""

from __future__ import annotations

import json

from aiohttp import web

_JSON = "application/json"


def answer(status: int, text: str) -> web.Response:
    """Return an error in the form Better Stack uses."""
    return web.json_response({"errors": text}, status=status)


def not_found() -> web.HTTPNotFound:
    """There is no such monitor."""
    return web.HTTPNotFound(text=json.dumps({"errors": "Resource with provided ID was not found"}), content_type=_JSON)


def invalid(attribute: str, text: str) -> web.HTTPUnprocessableEntity:
    """An attribute has a value that is not taken."""
    return web.HTTPUnprocessableEntity(text=json.dumps({"errors": {attribute: [text]}}), content_type=_JSON)
