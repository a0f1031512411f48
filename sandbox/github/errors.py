"""GitHub's refusals, as aiohttp errors that a handler raises."""

from __future__ import annotations

import json

from aiohttp import web

_JSON = "application/json"
_DOCUMENTATION = "https://docs.github.com/rest"


def answer(status: int, message: str) -> web.Response:
    """Return an error in the form GitHub uses."""
    return web.json_response(_body(status, message), status=status)


def not_found() -> web.HTTPNotFound:
    """Nothing of that name, or nothing that this token may see."""
    return web.HTTPNotFound(text=json.dumps(_body(404, "Not Found")), content_type=_JSON)


def unprocessable(message: str) -> web.HTTPUnprocessableEntity:
    """The request is well-formed and means nothing here."""
    return web.HTTPUnprocessableEntity(text=json.dumps(_body(422, message)), content_type=_JSON)


def bad_request(message: str) -> web.HTTPBadRequest:
    """The body is not what the call takes."""
    return web.HTTPBadRequest(text=json.dumps(_body(400, message)), content_type=_JSON)


def conflict(message: str) -> web.HTTPConflict:
    """There is one already."""
    return web.HTTPConflict(text=json.dumps(_body(409, message)), content_type=_JSON)


def moved(method: str, location: str) -> web.HTTPMovedPermanently | web.HTTPTemporaryRedirect:
    """The repository has another name now; 301 is for GET alone: clients may change the method of anything else."""
    if method in {"GET", "HEAD"}:
        return web.HTTPMovedPermanently(location, text=_moved("Moved Permanently", location), content_type=_JSON)
    return web.HTTPTemporaryRedirect(location, text=_moved("Temporary Redirect", location), content_type=_JSON)


def _moved(message: str, location: str) -> str:
    return json.dumps({"message": message, "url": location, "documentation_url": _DOCUMENTATION})


def _body(status: int, message: str) -> dict[str, str]:
    return {"message": message, "documentation_url": _DOCUMENTATION, "status": str(status)}
