"""What every emulated API is made of: a clock, a journal, scripted faults, control calls, state on disk."""
