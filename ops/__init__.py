"""What the program's Commands and people run: `python -m ops <verb>`.

The verbs, their flags and variables are written into users' state, so they are an interface (docs/ops.md). Every verb
can be killed at any point and run again.
"""
