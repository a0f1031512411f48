"""The sample orchestrator's flow, once; argv says where it lies. Prints one JSON line."""

# mypy: ignore-errors
# It runs in Prefect's own environment, which the checks do not have.

import json
import sys

sys.path.insert(0, sys.argv[1])

from serve_flows import caption_sample

print(json.dumps({"words": caption_sample()}))
