"""What people do with a stack, each from the state in which they do it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from proof.stage import Stage
from sandbox import captionacc

_NEW_IMAGE = {"reference": f"registry.fly.io/{captionacc.SERVER}@sha256:{'b' * 64}"}


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One thing that people do.

    Attributes:
        prepare: brings a stack that is configured and not deployed to where it begins.
        act: does it; run again after a failure, it goes on from there.
        leaves: whether a stack is there afterwards.
    """

    prepare: Callable[[Stage], object]
    act: Callable[[Stage], object]
    leaves: bool = True


def _up(stage: Stage) -> None:
    stage.engine.up()


def _deployed(**groups: object) -> Callable[[Stage], None]:
    """Return what deploys the usual stack and then states these settings."""

    def prepare(stage: Stage) -> None:
        stage.engine.up()
        stage.configure(**groups)

    return prepare


def _deployed_then(mode: str, *, before: str = "self-hosted") -> Callable[[Stage], None]:
    """Return what deploys the usual stack in one mode and then states another."""

    def prepare(stage: Stage) -> None:
        if before != "self-hosted":
            stage.set_mode(before)
        stage.engine.up()
        stage.set_mode(mode)

    return prepare


def _told(stage: Stage) -> None:
    stage.tell(ops=("failed", "silent"), spare=("failed",))
    stage.engine.up()
    stage.tell()


def _deployed_then_told(stage: Stage) -> None:
    stage.engine.up()
    stage.tell(ops=("failed",))


OPERATIONS: Mapping[str, Operation] = {
    "up": Operation(prepare=lambda _stage: None, act=_up),
    "rotate": Operation(prepare=_deployed(keys={"current": 2, "accepted": [1, 2]}), act=_up),
    "new image": Operation(prepare=_deployed(image=_NEW_IMAGE), act=_up),
    "in place": Operation(prepare=_deployed(image=_NEW_IMAGE, vm={"strategy": "rolling"}), act=_up),
    "resize": Operation(prepare=_deployed(vm={"memoryMb": 512}), act=_up),
    "detach": Operation(prepare=_deployed(orchestrator={"connected": False}), act=_up),
    "to cloud": Operation(prepare=_deployed_then("cloud"), act=_up),
    "back": Operation(prepare=_deployed_then("self-hosted", before="cloud"), act=_up),
    "alert": Operation(prepare=_deployed_then_told, act=_up),
    "no alert": Operation(prepare=_told, act=_up),
    "destroy": Operation(prepare=_deployed(), act=lambda stage: stage.engine.destroy(), leaves=False),
}
