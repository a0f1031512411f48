"""What the emulated GitHub keeps of a repository: secrets by clear value, variables, workflows and runs."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from typing import Literal

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, SealedBox

Status = Literal["queued", "waiting", "in_progress", "completed"]


@dataclass
class Secret:
    """A secret with the value that was sealed into it; times in unix seconds."""

    name: str
    value: str
    created_at: float
    updated_at: float


@dataclass
class Vault:
    """Secrets that share one X25519 key pair: those of a repository, or of one of its environments."""

    secrets: dict[str, Secret] = field(default_factory=dict)
    private_key: str = field(default_factory=lambda: base64.b64encode(bytes(PrivateKey.generate())).decode())

    @property
    def _key(self) -> PrivateKey:
        return PrivateKey(base64.b64decode(self.private_key))

    @property
    def public_key(self) -> str:
        """The public key, base64 of 32 bytes."""
        return base64.b64encode(bytes(self._key.public_key)).decode()

    @property
    def key_id(self) -> str:
        """The id that a sealed value must name; a number in a string, as GitHub's is."""
        return str(int(hashlib.sha256(self.public_key.encode()).hexdigest()[:15], 16))

    def open(self, sealed: str) -> str:
        """Return what was sealed for this vault.

        Raises:
            ValueError: it is no base64, no box for this key, or no text.
        """
        try:
            return SealedBox(self._key).decrypt(base64.b64decode(sealed, validate=True)).decode()
        except CryptoError as error:
            raise ValueError(str(error)) from error

    def put(self, name: str, value: str, now: float) -> bool:
        """Keep a value; True when the name is new. A change always shows in `updated_at`, whole seconds on the wire."""
        known = self.secrets.get(name)
        if known is None:
            self.secrets[name] = Secret(name, value, now, now)
            return True
        known.value = value
        known.updated_at = max(now, known.updated_at + 1)
        return False


@dataclass
class Variable:
    """A clear-text Actions variable."""

    name: str
    value: str
    created_at: float
    updated_at: float


@dataclass
class Workflow:
    """A workflow file.

    Attributes:
        file: its name in .github/workflows.
        inputs: declared workflow_dispatch inputs and whether each is required.
        dispatchable: whether it has the workflow_dispatch trigger.
        disabled: switched off by hand.
        title_input: an input that its `run-name` shows, if any.
    """

    id: int
    file: str
    name: str
    inputs: dict[str, bool] = field(default_factory=dict)
    dispatchable: bool = True
    disabled: bool = False
    title_input: str | None = None


@dataclass
class Run:
    """One run of a workflow; times in unix seconds."""

    id: int
    number: int
    workflow_id: int
    head_branch: str
    head_sha: str
    title: str
    inputs: dict[str, str]
    created_at: float
    updated_at: float
    visible_at: float
    started_at: float | None = None
    status: Status = "queued"
    conclusion: str | None = None
    event: str = "workflow_dispatch"


@dataclass
class Script:
    """How coming runs behave.

    Attributes:
        queued: seconds before a runner takes the run.
        running: seconds it takes at least.
        conclusion: how it ends; None lets what the workflow really does decide.
        approval: it waits until somebody approves it.
        times: how many runs behave so; None for all.
        invisible: seconds before the list of runs shows a new run.
    """

    queued: float = 1.0
    running: float = 2.0
    conclusion: str | None = None
    approval: bool = False
    times: int | None = None
    invisible: float = 0.5


@dataclass
class Repository:
    """A repository; branches by name with the commit they point at."""

    id: int
    owner: str
    name: str
    branches: dict[str, str]
    vault: Vault = field(default_factory=Vault)
    variables: dict[str, Variable] = field(default_factory=dict)
    environments: dict[str, Vault] = field(default_factory=dict)
    workflows: list[Workflow] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)

    @property
    def full_name(self) -> str:
        """`owner/name`."""
        return f"{self.owner}/{self.name}"

    def environment(self, name: str) -> str | None:
        """Return the name of an environment as it was made; GitHub does not look at the case of what is asked for."""
        return next((each for each in self.environments if each.lower() == name.lower()), None)

    def workflow(self, key: str) -> Workflow | None:
        """Find a workflow by its file name or its number."""
        return next((each for each in self.workflows if key in {each.file, str(each.id)}), None)

    def run(self, number: int) -> Run | None:
        """Find a run by its id."""
        return next((each for each in self.runs if each.id == number), None)
