"""Fly, GitHub, Better Stack and Prefect Cloud emulated on loopback, in front of a real Prefect server and Postgres."""
