"""What we ask of GitHub: dispatch a workflow and follow its run. Secrets are pulumi-github's business."""

from clients.github.client import GitHubClient
from clients.github.errors import GitHubError
from clients.github.models import Dispatched, Repository, Run, Workflow

__all__ = ["Dispatched", "GitHubClient", "GitHubError", "Repository", "Run", "Workflow"]
