"""Flows that materialise assets in three layers; one fails. Prints one JSON line: the flow runs' ids by name."""

# mypy: ignore-errors
# It runs in Prefect's own environment, which the checks do not have.

import json

from prefect import flow, runtime
from prefect.assets import Asset, AssetProperties, add_asset_metadata, materialize

CAPTIONS = Asset(
    key="s3://captions/raw.csv",
    properties=AssetProperties(name="Raw captions", owners=["video team"], description="As they come."),
)
RULES = Asset(key="s3://captions/rules.json", properties=AssetProperties(name="Rules", owners=["text team"]))
CLEAN = Asset(
    key="postgres://warehouse/captions/clean",
    properties=AssetProperties(
        name="Clean captions", owners=["text team", "a person"], url="https://wiki.example/clean"
    ),
)


@materialize(CAPTIONS)
def fetch() -> list[str]:
    # Prefect follows a result by its identity, which numbers do not have.
    return ["a cat", "a dog", "rain"]


@materialize(CLEAN, asset_deps=[RULES], by="dbt")
def clean(rows: list[str]) -> list[str]:
    add_asset_metadata(CLEAN, {"rows": len(rows), "columns": ["id", "text"]})
    return list(rows)


@materialize("postgres://warehouse/captions/words")
def count(rows: list[str]) -> int:
    raise ValueError(rows)


@flow(name="captions")
def captions() -> str:
    clean(fetch())
    return runtime.flow_run.id


@flow(name="words")
def words() -> str:
    identifier = runtime.flow_run.id
    count(clean(fetch()), return_state=True)
    return identifier


print(json.dumps({"captions": captions(), "words": words()}))
