"""`python -m settings`: write the configuration page and the JSON schema, both made from the groups."""

from pathlib import Path

from settings import docs

docs.write(Path(__file__).parents[1] / "docs")
