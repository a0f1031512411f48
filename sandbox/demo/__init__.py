"""`make demo`: the real engine deploys a real server into the sandbox and wires the sample orchestrator to it."""
