"""`python -m settings`: write the configuration page and the JSON schema, both made from the groups."""

from pathlib import Path

from settings import write_docs

write_docs(Path(__file__).parents[1] / "docs")
