"""Plain typed API clients on requests; nothing here imports pulumi."""
