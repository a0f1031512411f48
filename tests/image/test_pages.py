"""The pages in a real browser: login and dashboard of Prefect's UI, /lineage, and what a viewer is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.image.conftest import KEYS, PEOPLE
from tests.support.browser import Page, require_chromium, steer
from tests.support.lineage import edges, wait_for
from tests.support.prefect_server import Program, result_of, run_client
from tests.support.waiting import until

pytestmark = pytest.mark.prefect

CLIENTS = Path(__file__).parent / "clients"
ORCHESTRATOR = Path(__file__).resolve().parents[2] / "sandbox" / "orchestrator"
CAPTIONS, VIDEOS = "s3://captionacc/raw/captions.csv", "s3://captionacc/raw/videos.csv"
CLEAN, BY_VIDEO = "postgres://captionacc/captions/clean", "postgres://captionacc/captions/by_video"
WORDS = "postgres://captionacc/captions/words"
EDGES = {(CAPTIONS, CLEAN), (CAPTIONS, BY_VIDEO), (VIDEOS, BY_VIDEO), (CLEAN, WORDS), (BY_VIDEO, WORDS)}
LAYERS = [["Raw captions", "Raw videos"], ["Captions by video", "Clean captions"], ["Word counts"]]
# Other tests of this server write assets too; these five are all that this one comes from.
PERMALINK = f"/lineage#asset={quote(WORDS, safe='')}&only="
HEADING = "document.querySelector('#panel h2')?.textContent"
NODES = "window.lineageView?.nodes.length"
# Each node's name, its layer, where it stands, and the colour that the canvas has there.
DRAWN = """
(() => {
  const { nodes, camera, width, height, canvas, context } = window.lineageView, box = canvas.getBoundingClientRect();
  return nodes.map((node) => {
    const x = (node.x - camera.x) * camera.scale + width / 2, y = (node.y - camera.y) * camera.scale + height / 2;
    const colour = [...context.getImageData(x, y, 1, 1).data.slice(0, 3)].map((each) => each.toString(16)).join("");
    return { name: node.label, layer: node.layer, x: box.left + x, y: box.top + y, colour: `#${colour}` };
  });
})()
"""
GREEN = "#16a34a"

Look = Callable[[Page], Awaitable[None]]


@pytest.fixture(scope="module", autouse=True)
def _chromium() -> None:
    require_chromium()


@pytest.fixture(scope="module")
def sample(server: Program) -> Program:
    """The server, with the lineage of the sample orchestrator's flow: five assets in three layers."""
    environ = server.client_environment(
        PREFECT_API_KEY=KEYS["orchestrator"], PREFECT_API_AUTH_STRING=f"orchestrator:{KEYS['orchestrator']}"
    )
    result_of(run_client(CLIENTS / "sample.py", environ, str(ORCHESTRATOR)))
    wait_for(server, lambda found: edges(found) >= EDGES)
    return server


def look(what: Look) -> None:
    """Do something with a browser of its own."""
    asyncio.run(steer(what))


async def log_in(page: Page, server: Program, name: str, key: str) -> None:
    """Log in to the UI as a person does, and come to the dashboard."""
    await page.go(f"{server.url}/")
    await page.until("location.pathname.endsWith('/login')")
    await page.type("input", f"{name}:{key}")
    await page.enter()
    await page.until("location.pathname.endsWith('/dashboard')")


def strangers(page: Page, server: Program) -> list[str]:
    """What the page asked other hosts for."""
    return [address for address in page.requested if not address.startswith((f"{server.url}/", "about:"))]


def complaints(page: Page) -> list[str]:
    """What the console was told, but for the refusals that lead to a login."""
    return [text for text in page.errors if "401 (Unauthorized)" not in text]


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


def test_lineage_needs_a_login(sample: Program) -> None:
    """/lineage shows a stranger its form and nothing else, says that a key was refused, and opens with `name:key`."""

    async def what(page: Page) -> None:
        await page.go(sample.url + PERMALINK)
        await page.until("!document.getElementById('login').hidden")
        assert await page.run(NODES) == 0
        await page.type("#credential", "admin:wrong")
        await page.enter()
        await page.until("document.getElementById('refused').innerText.startsWith('Not accepted: ')")
        assert await page.run(NODES) == 0
        await page.run("document.getElementById('credential').value = ''")
        await page.type("#credential", f"viewer:{PEOPLE['viewer']}")
        await page.enter()
        await page.until(f"{HEADING} === 'Word counts'")
        assert await page.run(NODES) == 5
        assert await page.run("document.getElementById('login').hidden")
        assert not strangers(page, sample)
        assert not complaints(page)

    look(what)


async def open_lineage(page: Page, server: Program, path: str) -> None:
    """Open /lineage as somebody who is logged in to the UI."""
    await page.go(f"{server.url}/lineage/icon.svg")
    await page.run(f"localStorage.setItem('prefect-password', btoa({json.dumps('admin:' + KEYS['admin'])}))")
    await page.go("about:blank")
    await page.go(server.url + path)
    await page.until(f"{NODES} >= 3")


def test_lineage_finds_and_remembers(sample: Program) -> None:
    """Search leads to an asset, the address brings it back, and its lineage is drawn in layers from left to right."""

    async def what(page: Page) -> None:
        await open_lineage(page, sample, "/lineage")
        await page.type("#search", "word co")
        await page.until("document.querySelectorAll('#found button').length === 1")
        await page.enter()
        await page.until(f"{HEADING} === 'Word counts'")
        await page.run("document.getElementById('only').click()")
        await page.until(f"{NODES} === 5")
        address = await page.run("location.href")
        assert address == sample.url + PERMALINK

        await page.go("about:blank")
        await page.go(address)
        await page.until(f"{HEADING} === 'Word counts' && {NODES} === 5")
        assert await page.run("document.getElementById('only').checked")
        await page.until(f"{DRAWN}.every((node) => node.colour === '{GREEN}')")
        drawn = await page.run(DRAWN)
        layers = sorted({node["layer"] for node in drawn})
        assert [sorted(node["name"] for node in drawn if node["layer"] == layer) for layer in layers] == LAYERS
        places = [{round(node["x"]) for node in drawn if node["layer"] == layer} for layer in layers]
        assert max(places[0]) < min(places[1]) <= max(places[1]) < min(places[2])
        assert not complaints(page)

    look(what)


def test_lineage_leads_to_an_asset_and_into_the_ui(sample: Program) -> None:
    """A prefix leaves fewer, a click on one opens what is known of it, and its run is a link to the run in the UI."""

    async def what(page: Page) -> None:
        await open_lineage(page, sample, PERMALINK)
        await page.type("#prefix", "postgres://captionacc/")
        await page.until(f"{NODES} === 3 && document.getElementById('count').innerText.startsWith('3 of ')")
        await page.until(f"{DRAWN}.every((node) => node.colour === '{GREEN}')")
        clean = next(node for node in await page.run(DRAWN) if node["name"] == "Clean captions")
        await page.click(clean["x"], clean["y"])
        await page.until(f"{HEADING} === 'Clean captions'")
        words = await page.run("document.getElementById('panel').innerText")
        for text in (CLEAN, "Lower case, without doubles.", "text team", CAPTIONS, WORDS, "doubles", "caption-sample"):
            assert text in words

        run = "document.querySelector('#panel a[href^=\"/v2/runs/flow-run/\"]')"
        address, name = await page.run(f"[{run}.href, {run}.innerText]")
        await page.go(address)
        await page.until(f"document.body.innerText.includes({json.dumps(name)})")
        assert not strangers(page, sample)
        assert not complaints(page)

    look(what)


def test_lineage_as_a_picture(sample: Program, tmp_path: Path) -> None:
    """What is shown can be kept as an SVG with each asset's name and each edge."""

    async def what(page: Page) -> None:
        await page.download_into(tmp_path)
        await open_lineage(page, sample, PERMALINK)
        await page.run("document.getElementById('download').click()")
        file = tmp_path / "lineage.svg"
        await asyncio.to_thread(until, file.exists, lambda: list(tmp_path.iterdir()))
        text = file.read_text()
        assert [text.count(mark) for mark in ("<circle ", "<path ", "</svg>")] == [5, 5, 1]
        assert all(f">{name}</text>" in text for layer in LAYERS for name in layer)

    look(what)
