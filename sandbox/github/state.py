"""All that the emulated GitHub knows, and what tests script and look at."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import Any

from sandbox.github.models import Repository, Run, Script, Secret, Variable, Vault, Workflow


class GitHubState:
    """All of it, with what tests script and look at.

    Attributes:
        ghes: behave as GitHub Enterprise Server up to 3.20: an unknown dispatch field is refused with 400.
        usual: how a run behaves that no script is for.
        scripts: behaviours waiting to be used, first one first; they differ from the usual one in what they state.
        moved: old full names, in small letters, of renamed and transferred repositories, with the repository's number.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.moved: dict[str, int] = {}
        self.organisations: dict[str, int] = {}
        self.ghes = False
        self.usual = Script()
        self.scripts: list[Script] = []
        self._last_id = 1000

    def clear(self) -> None:
        """Forget everything but the numbers given out."""
        self.repositories.clear()
        self.moved.clear()
        self.organisations.clear()
        self.scripts.clear()
        self.ghes = False

    def next_id(self) -> int:
        """Return a number never used before."""
        self._last_id += 1
        return self._last_id

    def add_repository(self, owner: str, name: str) -> Repository:
        """Create a repository with a branch `main`, and its organisation."""
        self._add_organisation(owner)
        sha = hashlib.sha1(f"{owner}/{name}".encode(), usedforsecurity=False).hexdigest()
        repository = Repository(self.next_id(), owner, name, {"main": sha})
        self.repositories[repository.full_name.lower()] = repository
        self.moved.pop(repository.full_name.lower(), None)
        return repository

    def move(self, full_name: str, to: str) -> Repository:
        """Rename a repository or transfer it to another owner; its old name leads to it until somebody takes that."""
        repository = self.repositories.pop(full_name.lower())
        self.moved[full_name.lower()] = repository.id
        repository.owner, _, repository.name = to.partition("/")
        self._add_organisation(repository.owner)
        self.repositories[to.lower()] = repository
        self.moved.pop(to.lower(), None)
        return repository

    def organisation(self, login: str) -> str | None:
        """Return an organisation's name as it is spelled, whatever the case of what is asked for."""
        return next((each for each in self.organisations if each.lower() == login.lower()), None)

    def add_workflow(self, repository: Repository, file: str, name: str, **settings: Any) -> Workflow:
        """Create a workflow; `settings` are the fields of `Workflow`."""
        workflow = Workflow(self.next_id(), file, name, **settings)
        repository.workflows.append(workflow)
        return workflow

    def repository(self, full_name: str) -> Repository:
        """Return a repository by `owner/name`; KeyError when there is none."""
        return self.repositories[full_name.lower()]

    def _add_organisation(self, login: str) -> None:
        if self.organisation(login) is None:
            self.organisations[login] = self.next_id()

    def secret(self, full_name: str, name: str, environment: str | None = None) -> str | None:
        """Return the clear value of a secret, or None when it is not set."""
        repository = self.repository(full_name)
        vault = repository.vault if environment is None else repository.environments[environment]
        found = vault.secrets.get(name.upper())
        return found.value if found else None

    def script(self, **settings: Any) -> Script:
        """Let coming runs behave so; the fields are those of `Script`, `times` is 1 unless given."""
        script = Script(**{**asdict(self.usual), "times": 1, **settings})
        self.scripts.append(script)
        return script

    def take_script(self) -> Script:
        """Return the behaviour of a run that is starting."""
        while self.scripts:
            script = self.scripts[0]
            if script.times is None:
                return script
            if script.times > 0:
                script.times -= 1
                return script
            self.scripts.pop(0)
        return self.usual

    def dump(self) -> dict[str, Any]:
        """Return everything that outlives a restart, as JSON; it holds secret values."""
        return {
            "next_id": self._last_id + 1,
            "ghes": self.ghes,
            "organisations": self.organisations,
            "moved": self.moved,
            "repositories": [asdict(each) for each in self.repositories.values()],
        }

    def load(self, saved: dict[str, Any]) -> None:
        """Take over what `dump` returned; runs that were under way then count as cancelled."""
        self._last_id = saved["next_id"] - 1
        self.ghes = saved["ghes"]
        self.organisations = dict(saved["organisations"])
        self.moved = dict(saved.get("moved", {}))
        self.repositories = {}
        for each in saved["repositories"]:
            repository = _repository(each)
            for run in repository.runs:
                if run.status != "completed":
                    run.status, run.conclusion = "completed", "cancelled"
            self.repositories[repository.full_name.lower()] = repository


def _vault(saved: dict[str, Any]) -> Vault:
    secrets = {name: Secret(**each) for name, each in saved["secrets"].items()}
    return Vault(secrets, saved["private_key"])


def _repository(saved: dict[str, Any]) -> Repository:
    return Repository(
        id=saved["id"],
        owner=saved["owner"],
        name=saved["name"],
        branches=dict(saved["branches"]),
        vault=_vault(saved["vault"]),
        variables={name: Variable(**each) for name, each in saved["variables"].items()},
        environments={name: _vault(each) for name, each in saved["environments"].items()},
        workflows=[Workflow(**each) for each in saved["workflows"]],
        runs=[Run(**each) for each in saved["runs"]],
    )
