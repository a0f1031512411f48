"""Proof that the program survives what the world does to it: one fault at a time, at every call of every operation."""
