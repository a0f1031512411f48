"""Sequences of calls to Fly: each can be killed at any point and run again."""
