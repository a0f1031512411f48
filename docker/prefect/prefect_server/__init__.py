"""What runs in the server image: Prefect behind the API-key gate, its background services, and its migration.

`python -m prefect_server serve | services | migrate`. The same code from the same lock runs as a plain process in the
sandbox. The modules that make up the gate import nothing but the standard library; Prefect is imported only after the
settings were found good and the database was looked at.
"""
