"""Assets and how they depend on each other: kept in tables of our own, served as a page, as JSON and as OpenLineage."""
