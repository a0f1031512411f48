"""A workspace like Prefect Cloud's: real API keys in front of a real Prefect server."""
