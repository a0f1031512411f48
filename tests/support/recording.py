"""Runs the real program under Pulumi's mocks and keeps every registration as it went over the wire."""

from __future__ import annotations

import contextvars
import functools
import gc
import hashlib
import json
import logging
import runpy
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import pytest
from google.protobuf import json_format  # type: ignore[import-untyped]
from pulumi.runtime import mocks, rpc
from pulumi.runtime.settings import get_root_resource
from pulumi.runtime.stack import Stack

from components import github_environment

ROOT = Path(__file__).resolve().parents[2]
_SECRET = rpc._special_secret_sig
_SIGNATURE = rpc._special_sig_key


@dataclass(frozen=True)
class Registration:
    """One registered resource: `secret` lists the dotted paths of its secret inputs, `after` the URNs it depends on."""

    urn: str
    kind: str
    name: str
    parent: str
    inputs: Mapping[str, Any]
    secret: frozenset[str]
    after: frozenset[str]
    options: Mapping[str, Any] = field(default_factory=dict)


class _Echo(mocks.Mocks):
    """Answers with the inputs and the outputs that the components read."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        return f"{args.name}-id", {**_plain(args.inputs), **_outputs(args)}

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        raise AssertionError(f"the program called {args.token}")


def _outputs(args: mocks.MockResourceArgs) -> dict[str, Any]:
    digest = hashlib.sha256(args.name.encode()).hexdigest()
    names = sorted(_plain(args.inputs.get("values", {})))
    outputs: dict[str, dict[str, Any]] = {
        "pulumi-python:dynamic/fly:App": {"app_id": "app-1", "hostname": f"{args.name}.fly.dev"},
        "pulumi-python:dynamic/fly:IpAddress": {"address": "192.0.2.1"},
        "pulumi-python:dynamic/fly:Certificate": {
            "requested_at": 1_800_000_000,
            "dns_records": [{"type": "CNAME", "name": "prefect.example.com", "value": "x", "purpose": "traffic"}],
        },
        "pulumi-python:dynamic/fly:Secrets": {
            "version": 7,
            "fingerprint": digest,
            "fingerprints": {name: f"print-{name}" for name in names},
            "names": names,
        },
        "pulumi-python:dynamic/fly:Machine": {"machine_id": digest[:14], "revision": f"rev-{args.name}"},
        "pulumi-python:dynamic/prefect:NotificationBlock": {"object_id": f"{args.name}-object"},
        "pulumi-python:dynamic/credentials:ApiKey": {
            "value": f"pf_{digest}",
            "sha256": hashlib.sha256(digest.encode()).hexdigest(),
        },
        "pulumi-python:dynamic/credentials:KeyRing": {"generation": 1000, "mac": "proof"},
        "pulumi:index:Stash": {"output": _plain(args.inputs).get("input")},
        "docker:index/image:Image": {"repoDigest": f"registry.fly.io/{args.name}@sha256:{digest}"},
        "command:local:Command": {
            "stdout": '{"started_at": 12.5, "url": "https://github.com/run/1"}',
            "stderr": "",
        },
    }
    return outputs.get(args.typ, {})


class _Said(logging.Logger):
    """What the engine would be told to show."""

    def __init__(self) -> None:
        super().__init__("engine", logging.DEBUG)
        self.records: list[logging.LogRecord] = []

    def handle(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class _Recorder(mocks.MockMonitor):
    def __init__(self) -> None:
        super().__init__(_Echo())
        self.seen: list[Registration] = []
        self.exported: dict[str, Any] = {}
        self.secret_exports: frozenset[str] = frozenset()
        self.kept = 0
        self.said = _Said()

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        response = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        raw = json_format.MessageToDict(request.object)
        self.seen.append(
            Registration(
                urn=response.urn,
                kind=request.type,
                name=request.name,
                parent=request.parent,
                inputs=_plain(raw),
                secret=frozenset(_secret_paths(raw)),
                after=_dependencies(request),
                options={
                    "retain_on_delete": request.retainOnDelete,
                    "protect": request.protect,
                    "delete_before_replace": request.deleteBeforeReplace,
                    "replace_on_changes": list(request.replaceOnChanges),
                    "additional_secret_outputs": list(request.additionalSecretOutputs),
                },
            )
        )
        return response

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        if request.urn.split("::")[2] == "pulumi:pulumi:Stack":
            raw = json_format.MessageToDict(request.outputs)
            self.exported, self.secret_exports = _plain(raw), frozenset(_secret_paths(raw))
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]


def _dependencies(request: Any) -> frozenset[str]:
    by_property = (urn for entry in request.propertyDependencies.values() for urn in entry.urns)
    return frozenset([*request.dependencies, *by_property])


def _is_secret(value: Any) -> bool:
    return isinstance(value, dict) and value.get(_SIGNATURE) == _SECRET


def _plain(value: Any) -> Any:
    if _is_secret(value):
        return _plain(value["value"])
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _secret_paths(value: Any, path: str = "") -> Iterable[str]:
    if _is_secret(value):
        yield path
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _secret_paths(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _secret_paths(item, f"{path}[{index}]")


@dataclass(frozen=True)
class Program:
    """What one run of the program registered, exported and said.

    Attributes:
        kept: objects that are left out of its last look for garbage.
        said: what was sent to the engine to be shown, as log records.
    """

    resources: tuple[Registration, ...]
    exports: Mapping[str, Any]
    secret_exports: frozenset[str]
    kept: int
    said: tuple[logging.LogRecord, ...]

    def one(self, kind: str, name: str) -> Registration:
        """The resource of that type and logical name."""
        found = [item for item in self.resources if (item.kind, item.name) == (kind, name)]
        assert len(found) == 1, f"{kind} {name}: {len(found)} of {[(r.kind, r.name) for r in self.resources]}"
        return found[0]

    def of(self, kind: str) -> list[Registration]:
        """All resources of a type, in the order of their registration."""
        return [item for item in self.resources if item.kind == kind]

    def before(self, resource: Registration) -> set[str]:
        """URNs of everything that exists before `resource` does, and so is deleted after it."""
        known = {item.urn: item for item in self.resources}
        found: set[str] = set()
        waiting = [*resource.after]
        while waiting:
            urn = waiting.pop()
            if urn in found or urn not in known:
                continue
            found.add(urn)
            waiting += known[urn].after
        return found


def run_program(config: Mapping[str, str], *, stack_name: str = "dev") -> Program:
    """Run `__main__.py` with a configuration, here, in a context of its own, where Pulumi keeps its state."""
    return _run(json.dumps(config, sort_keys=True), stack_name)


@functools.cache
def _run(config: str, stack_name: str) -> Program:
    recorder = contextvars.Context().run(_record, json.loads(config), stack_name)
    return Program(
        tuple(recorder.seen), recorder.exported, recorder.secret_exports, recorder.kept, tuple(recorder.said.records)
    )


def _record(config: Mapping[str, str], stack_name: str) -> _Recorder:
    recorder = _Recorder()
    interrupt = signal.getsignal(signal.SIGINT)
    with pytest.MonkeyPatch.context() as patch:
        # The one look at an API that the program itself takes; tests/engine/program/test_github.py is about it.
        patch.setattr(github_environment, "require_environment", lambda *_: None)
        patch.setattr(pulumi.log, "debug", pulumi.log.debug)  # the program changes it
        mocks.set_mocks(
            _Echo(),
            project="prefect-fly",
            stack=stack_name,
            preview=False,
            logger=recorder.said,
            monitor=recorder,
            organization="acme",
        )
        pulumi.runtime.set_all_config(dict(config), [])
        root = get_root_resource()
        assert isinstance(root, Stack)

        @pulumi.runtime.test  # type: ignore[untyped-decorator]
        def program() -> None:
            runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")
            root.register_outputs(dict(root.outputs))

        try:
            program()
        finally:
            signal.signal(signal.SIGINT, interrupt)
            recorder.kept = gc.get_freeze_count()
            gc.unfreeze()
            gc.enable()  # the program switches it off
    return recorder
