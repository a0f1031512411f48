"""Limits of the HTTP protocol, apart from the class that imports uvicorn."""

# A client's request line and headers, and any silence before them.
HEAD_SECONDS = 10.0
