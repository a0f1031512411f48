"""ComponentResources: one a file."""
