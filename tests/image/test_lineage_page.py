"""/lineage in a real browser."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.image.conftest import KEYS, PEOPLE
from tests.support.browser import Page, require_chromium
from tests.support.lineage import edges, wait_for
from tests.support.pages import complaints, look, strangers
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
# Whether nothing moves: the graph goes where it is sent, and makes room for a panel, in the frames after the answer.
RESTING = f"""
(async () => {{
  const at = () => JSON.stringify({DRAWN.strip().rstrip(";")}.map(({{ x, y }}) => [x, y])), before = at();
  for (let frame = 0; frame < 5; frame++) await new Promise(requestAnimationFrame);
  return at() === before;
}})()
"""
GREEN = "#16a34a"
SCALE = "window.lineageView.camera.scale"


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
        await page.click(*await place_of(page, "Clean captions"))
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


async def until_resting(page: Page) -> None:
    """Return when the picture does not move."""
    while not await page.run(RESTING):
        pass


async def place_of(page: Page, name: str) -> tuple[float, float]:
    """Where an asset stands in the window, once nothing moves."""
    await until_resting(page)
    node = next(node for node in await page.run(DRAWN) if node["name"] == name)
    return node["x"], node["y"]


async def pixel_of(page: Page, name: str) -> tuple[int, int]:
    """The pixel that an asset stands on; a mouse points at whole ones."""
    x, y = await place_of(page, name)
    return round(x), round(y)


def test_lineage_follows_mouse_fingers_and_keys(sample: Program) -> None:
    """What is dragged goes along, zooming leaves what is pointed at in its place, and only a click or a tap chooses."""

    async def what(page: Page) -> None:
        await page.call("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=2)
        await open_lineage(page, sample, "/lineage#prefix=postgres://captionacc/")
        x, y = await place_of(page, "Word counts")
        await page.drag((x, y), (x - 30, y), (x - 120, y + 80))
        assert await place_of(page, "Word counts") == pytest.approx((x - 120, y + 80), abs=1)
        assert await page.run("document.getElementById('panel').hidden")

        # Three assets are shown as large as can be.
        largest = await page.run(SCALE)
        x, y = await pixel_of(page, "Word counts")
        await page.wheel(x, y, 1500)
        await page.until(f"{SCALE} < {0.3 * largest}")
        assert await place_of(page, "Word counts") == pytest.approx((x, y), abs=1)
        scale = await page.run(SCALE)
        x, y = await pixel_of(page, "Word counts")
        await page.touch([(x - 40, y), (x + 40, y)], [(x - 60, y), (x + 60, y)], [(x - 80, y), (x + 80, y)])
        await page.until(f"{SCALE} > {1.9 * scale}")
        assert await place_of(page, "Word counts") == pytest.approx((x, y), abs=1)

        # Not on an asset: its panel would take a part of the window.
        scale = await page.run(SCALE)
        await page.double_click(x, y + 90)
        await page.until(f"{SCALE} > {1.99 * scale}")
        await page.run("document.querySelector('#graph canvas').focus()")
        await page.press("-")
        await page.until(f"{SCALE} < {1.3 * scale}")
        await page.run("document.getElementById('fit').click()")
        await page.until(f"{SCALE} === {largest}")
        await page.touch([await place_of(page, "Clean captions")])
        await page.until(f"{HEADING} === 'Clean captions'")

        # The first click leaves fewer, so that nothing is any more where the second one comes.
        await page.go("about:blank")
        await page.go(sample.url + PERMALINK)
        await page.until(f"{HEADING} === 'Word counts' && {NODES} === 5")
        await page.double_click(*await place_of(page, "Raw captions"))
        assert quote(CAPTIONS, safe="") in await page.run("location.hash")
        await page.until(f"{HEADING} === 'Raw captions' && {NODES} === 4")
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
