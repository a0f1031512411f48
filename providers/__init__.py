"""Dynamic providers: one resource a file."""
