"""The pages in a real browser: login and dashboard of Prefect's UI, and what a viewer is told."""

from __future__ import annotations

import json

import pytest

from tests.image.conftest import KEYS, PEOPLE
from tests.support.browser import Page, require_chromium
from tests.support.pages import complaints, look, strangers
from tests.support.prefect_server import Program

pytestmark = pytest.mark.prefect


@pytest.fixture(scope="module", autouse=True)
def _chromium() -> None:
    require_chromium()


async def log_in(page: Page, server: Program, name: str, key: str) -> None:
    """Log in to the UI as a person does, and come to the dashboard."""
    await page.go(f"{server.url}/")
    await page.until("location.pathname.endsWith('/login')")
    await page.type("input", f"{name}:{key}")
    await page.enter()
    await page.until("location.pathname.endsWith('/dashboard')")


def test_a_change_of_the_network_begins_anew(server: Program) -> None:
    """Chromium drops what it loads when an interface of the machine changes: the look begins again, from nothing."""
    pages: list[Page] = []

    async def what(page: Page) -> None:
        pages.append(page)
        await page.go(f"{server.url}/")
        if len(pages) == 1:
            dropped = {"requestId": "1", "errorText": "net::ERR_NETWORK_CHANGED", "type": "Script", "timestamp": 1}
            page._note("Network.loadingFailed", dropped)

    look(what)
    assert len(pages) == 2
    assert pages[0].pid != pages[1].pid


def test_who_leaves_while_the_page_loads_spoils_nothing(server: Program) -> None:
    """A browser that is closed in the middle of the scripts; the next one gets all of them."""

    async def leave(page: Page) -> None:
        await page.go(f"{server.url}/")

    async def stay(page: Page) -> None:
        await page.go(f"{server.url}/")
        await page.until("document.querySelector('input')")
        assert not complaints(page)

    look(leave)
    look(stay)


def test_login_and_dashboard(server: Program) -> None:
    """Who has no login gets no further than the form; with `name:key` the dashboard opens, and all of it from here."""

    async def what(page: Page) -> None:
        await page.go(f"{server.url}/v2/dashboard")
        await page.type("input", "admin:wrong")
        await page.enter()
        await page.until("document.body.innerText.includes('Invalid')")
        assert await page.run("location.pathname") == "/v2/login"

        await log_in(page, server, "admin", KEYS["admin"])
        await page.until("document.querySelector('a[href=\"/lineage\"]')")
        assert not strangers(page, server)
        assert not complaints(page)

        # The policy holds, and what it refuses would have been seen.
        await page.run("document.body.append(Object.assign(new Image(), {src: 'http://another.example/x.png'}))")
        await page.until_told("Content Security Policy")
        assert complaints(page)

    look(what)


def test_a_viewer_is_told_what_is_not_allowed(server: Program) -> None:
    """A viewer sees who they are, and one sentence where the UI would only fail."""

    async def what(page: Page) -> None:
        await log_in(page, server, "viewer", PEOPLE["viewer"])
        await page.until("document.body.innerText.includes('You are logged in as viewer, a viewer: you can look')")
        await page.go(f"{server.url}/v2/variables")
        await page.click_on("button", "Add Variable")
        await page.type("input[name=name]", "a_name")
        await page.type(".cm-content", "1")
        await page.click_on("button", "Create")
        await page.until("document.body.innerText.includes('may look at everything')")
        assert (await page.run("document.body.innerText")).count("is a viewer and may look at everything") == 1

        # And where the UI says nothing of an error.
        headers = "{ Authorization: `Basic ${localStorage.getItem('prefect-password')}` }"
        await page.go(f"{server.url}/v2/blocks")
        await page.run(f"fetch('/api/variables/name/a_name', {{ method: 'DELETE', headers: {headers} }})")
        told = '"viewer" is a viewer and may look at everything and change nothing. This needs an admin\'s rights.'
        await page.until(f"document.querySelector('[role=alert]')?.innerText.startsWith({json.dumps(told)})")

    look(what)
