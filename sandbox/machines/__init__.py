"""What runs a machine's program: scripted, as a process, or as a container."""
