"""A run of ours as an event of OpenLineage (specification 2-0-2), for the catalogues that read it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

PRODUCER = "https://github.com/PrefectHQ/prefect"
SPEC = "https://openlineage.io/spec"
SCHEMA_URL = f"{SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
NAMESPACE = "prefect"
_END_OF_A_RUN = re.compile(r"-[0-9a-f]{3}$")


def event_of(row: Mapping[str, Any]) -> dict[str, object]:
    """Make the RunEvent of one row of tables.EXPORT.

    The run is the task run that wrote the asset; its parent is the flow run. A task run that wrote several assets is
    several events of one run, which a reader adds up. Nothing is said about its start: the server is told of the end.
    """
    flow = row["flow"] or "unknown"
    run: dict[str, object] = {"runId": str(row["task_run_id"] or row["flow_run_id"] or row["event_id"])}
    job = flow
    if row["task_run_id"]:
        job = f"{flow}.{_task_of(row['task_run'])}"
        if row["flow_run_id"]:
            run["facets"] = {"parent": _parent(row["flow_run_id"], flow)}
    return {
        "eventType": "COMPLETE" if row["succeeded"] else "FAIL",
        "eventTime": row["occurred"].isoformat(),
        "producer": PRODUCER,
        "schemaURL": SCHEMA_URL,
        "run": run,
        "job": {"namespace": NAMESPACE, "name": job},
        "inputs": [dataset(key) for key in row["inputs"]],
        "outputs": [dataset(row["key"]) | _facets(row)],
    }


def dataset(key: str) -> dict[str, object]:
    """Split an asset's key as OpenLineage names datasets: `s3://bucket/a/b.csv` is `a/b.csv` in `s3://bucket`."""
    scheme, mark, rest = key.partition("://")
    place, _, name = rest.partition("/")
    if not mark or not name:
        return {"namespace": f"{scheme}://" if mark else NAMESPACE, "name": rest or key}
    return {"namespace": f"{scheme}://{place}", "name": name}


def _task_of(name: str | None) -> str:
    """A task's name out of its run's, to which Prefect adds three letters of an id."""
    return _END_OF_A_RUN.sub("", name or "") or "task"


def _parent(flow_run_id: UUID, flow: str) -> dict[str, object]:
    return _facet("1-0-1/ParentRunFacet.json#/$defs/ParentRunFacet") | {
        "run": {"runId": str(flow_run_id)},
        "job": {"namespace": NAMESPACE, "name": flow},
    }


def _facets(row: Mapping[str, Any]) -> dict[str, object]:
    facets: dict[str, object] = {}
    if row["description"]:
        documentation = _facet("1-0-1/DocumentationDatasetFacet.json#/$defs/DocumentationDatasetFacet")
        facets["documentation"] = documentation | {"description": row["description"]}
    owners = json.loads(row["owners"] or "[]")
    if owners:
        ownership = _facet("1-0-1/OwnershipDatasetFacet.json#/$defs/OwnershipDatasetFacet")
        facets["ownership"] = ownership | {"owners": [{"name": owner} for owner in owners]}
    return {"facets": facets} if facets else {}


def _facet(schema: str) -> dict[str, object]:
    return {"_producer": PRODUCER, "_schemaURL": f"{SPEC}/facets/{schema}"}
