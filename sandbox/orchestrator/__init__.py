"""A sample of the app that the program wires to the server: a real Prefect client with a health endpoint."""
