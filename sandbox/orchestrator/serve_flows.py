"""The sample orchestrator's flows, as a user of Prefect writes them, and the process that serves or runs them.

Run by app.py with `serve` (against the server that PREFECT_API_URL names) or `once` (ephemeral mode). Reports go to the
file descriptor in ORCHESTRATOR_REPORTS_FD, a JSON object a line. Standard library and Prefect only.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx  # type: ignore[import-not-found]
from prefect import flow  # type: ignore[import-not-found]
from prefect.assets import Asset, AssetProperties, add_asset_metadata, materialize  # type: ignore[import-not-found]
from prefect.client.orchestration import get_client  # type: ignore[import-not-found]
from prefect.exceptions import ObjectNotFound, PrefectException  # type: ignore[import-not-found]

if TYPE_CHECKING:
    from uuid import UUID

DEPLOYMENT = "orchestrator"
FLOW = "caption-sample"
CHECK_SECONDS = 4.0
CALL_SECONDS = 10.0
RUN_SECONDS = 180.0

Report = Callable[..., None]


def _asset(key: str, name: str, description: str, owner: str) -> Asset:
    return Asset(key=key, properties=AssetProperties(name=name, description=description, owners=[owner]))


CAPTIONS = _asset("s3://captionacc/raw/captions.csv", "Raw captions", "What viewers wrote.", "video team")
VIDEOS = _asset("s3://captionacc/raw/videos.csv", "Raw videos", "One line for each video.", "video team")
CLEAN = _asset("postgres://captionacc/captions/clean", "Clean captions", "Lower case, without doubles.", "text team")
BY_VIDEO = _asset(
    "postgres://captionacc/captions/by_video", "Captions by video", "What the player asks for.", "text team"
)
WORDS = _asset("postgres://captionacc/captions/words", "Word counts", "Behind the weekly report.", "analytics")


@materialize(CAPTIONS)  # type: ignore[untyped-decorator]
def fetch_captions(captions: tuple[str, ...]) -> list[str]:
    """Stand for a download."""
    add_asset_metadata(CAPTIONS, {"rows": len(captions)})
    return list(captions)


@materialize(VIDEOS)  # type: ignore[untyped-decorator]
def fetch_videos() -> list[str]:
    """Stand for another one."""
    return ["cats.mp4", "weather.mp4"]


@materialize(CLEAN)  # type: ignore[untyped-decorator]
def clean_captions(captions: list[str]) -> list[str]:
    """Return each caption once, in lower case."""
    clean = list(dict.fromkeys(caption.lower() for caption in captions))
    add_asset_metadata(CLEAN, {"rows": len(clean), "doubles": len(captions) - len(clean)})
    return clean


@materialize(BY_VIDEO, by="sqlmesh")  # type: ignore[untyped-decorator]
def join_videos(captions: list[str], videos: list[str]) -> dict[str, str]:
    """Return each video with its caption."""
    return dict(zip(videos, captions, strict=False))


@materialize(WORDS)  # type: ignore[untyped-decorator]
def count_words(captions: list[str], by_video: dict[str, str]) -> dict[str, int]:
    """Return the number of words for each video, and for all captions."""
    return {video: len(caption.split()) for video, caption in by_video.items()} | {
        "all": sum(len(caption.split()) for caption in captions)
    }


@flow(name=FLOW, log_prints=True)  # type: ignore[untyped-decorator]
def caption_sample(captions: tuple[str, ...] = ("A cat on a mat", "rain")) -> int:
    """Count the words of all captions; five assets in three layers."""
    raw, videos = fetch_captions(captions), fetch_videos()
    total: int = count_words(clean_captions(raw), join_videos(raw, videos))["all"]
    print(f"{len(captions)} captions, {total} words")
    return total


def _reporter() -> Report:
    stream = os.fdopen(int(os.environ["ORCHESTRATOR_REPORTS_FD"]), "w", buffering=1)
    lock = threading.Lock()

    def report(**found: str) -> None:
        with lock:
            stream.write(json.dumps(found) + "\n")

    return report


async def _watch(report: Report, reachable: threading.Event) -> None:
    """Make an authenticated call again and again with the client's own settings, and start one run when it works."""
    triggered: asyncio.Task[None] | None = None
    while True:
        try:
            # Retries would only delay the answer; the next round is one.
            async with get_client(httpx_settings={"timeout": CALL_SECONDS}) as client:
                while True:
                    async with asyncio.timeout(CALL_SECONDS):
                        await client.read_flows(limit=1)
                    report(prefect="healthy", detail="")
                    reachable.set()
                    triggered = triggered or asyncio.create_task(_run_once(report))
                    await asyncio.sleep(CHECK_SECONDS)
        except (httpx.HTTPError, PrefectException, OSError, RuntimeError, TimeoutError) as error:
            report(prefect="unhealthy", detail=type(error).__name__)
            await asyncio.sleep(CHECK_SECONDS)


async def _run_once(report: Report) -> None:
    """Start one run of the served deployment as soon as it is registered, and report how it ended."""
    while True:
        try:
            async with get_client() as client:
                run_id = await _started(client)
                report(last_run=await _conclusion(client, run_id))
        except (httpx.HTTPError, PrefectException, OSError, RuntimeError, TimeoutError):
            await asyncio.sleep(CHECK_SECONDS)
        else:
            return


async def _started(client: Any) -> UUID:
    while True:
        try:
            deployment = await client.read_deployment_by_name(f"{FLOW}/{DEPLOYMENT}")
        except ObjectNotFound:
            await asyncio.sleep(0.5)
            continue
        run = await client.create_flow_run_from_deployment(deployment.id)
        identifier: UUID = run.id
        return identifier


async def _conclusion(client: Any, run_id: UUID) -> str:
    async with asyncio.timeout(RUN_SECONDS):
        while True:
            state = (await client.read_flow_run(run_id)).state
            if state is not None and state.is_final():
                return str(state.type.value)
            await asyncio.sleep(1)


def _die_with_parent() -> None:
    # Not sys.stdin: a thread that holds its lock aborts the interpreter's shutdown.
    while os.read(0, 1):
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)


def main() -> int:
    """Serve for ever, or run once; 0 means that the run completed."""
    report = _reporter()
    threading.Thread(target=_die_with_parent, name="parent", daemon=True).start()
    if sys.argv[1:] == ["once"]:
        state = caption_sample(return_state=True)
        report(last_run=str(state.type.value))
        return 0 if state.is_completed() else 1
    reachable = threading.Event()
    threading.Thread(target=lambda: asyncio.run(_watch(report, reachable)), name="watch", daemon=True).start()
    # serve() gives up when the server is not there; an orchestrator that starts before its server must not.
    reachable.wait()
    caption_sample.serve(name=DEPLOYMENT, print_starting_message=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
