"""What `status` says of the server: its machines, database, flow runs, keys, and what it costs."""

from __future__ import annotations

from collections.abc import Iterable

from clients.endpoints import WrongWorldError
from clients.errors import ApiError
from clients.fly.model import Machine
from clients.fly.operations.unknown_machines import serves
from clients.names import ORCHESTRATOR
from clients.prefect import PrefectError
from clients.prefect_answers import KeyUse
from clients.redaction import redacted
from costs import monthly_usd
from ops.errors import OpsError
from ops.status_report import Line, State, age, megabytes
from ops.status_seen import Seen
from ops.verify import is_before_3
from ops.verify_domain import what_lacks

SILENT_SECONDS = 900.0
LATE_SECONDS = 300.0
CONNECTIONS_SHARE = 0.8
Lines = Iterable[Line]


def cloud(seen: Seen) -> Lines:
    """With mode: cloud there is no server of ours."""
    yield Line(part="server", state="ok", text=f"Prefect Cloud, {seen.stack.cloud_url}", facts={"mode": "cloud"})


def server(seen: Seen) -> Lines:
    """Is it ready at its public address, and which Prefect is it."""
    url = seen.stack.server_url
    facts: dict[str, object] = {"url": url, "ready": False, "prefect": None}
    began = seen.rt.clock()
    try:
        seen.server.ready()
    except PrefectError as error:
        yield Line(part="server", state="problem", text=f"{url} is not ready: {error.said}", facts=facts)
        return
    seconds = max(seen.rt.clock() - began, 0.0)
    try:
        version = seen.status.version
    except OpsError:
        version = ""  # the database's line says why
    named = f", Prefect {version}" if version else ""
    text = f"{url} ready in {seconds * 1000:.0f} ms{named}"
    yield Line(part="server", state="ok", text=text, facts=facts | {"ready": True, "prefect": version or None})


def domain(seen: Seen) -> Lines:
    """How far the name of one's own is; the server's line says whether it answers at the address in use."""
    name = seen.stack.domain
    if not name:
        return
    certificate = seen.fly.certificates.find(seen.stack.server_app, name)
    lacking = what_lacks(certificate) if certificate else "the app does not have it yet; pulumi up"
    text = f"{name}: {lacking or 'its certificate is valid'}"
    facts: dict[str, object] = {"domain": name, "valid": not lacking}
    yield Line(part="domain", state="note" if lacking else "ok", text=text, facts=facts)


def machine(seen: Seen) -> Lines:
    """A line for each machine of the app."""
    if not seen.machines:
        yield Line(part="machine", state="problem", text=f'app "{seen.stack.server_app}" has no machine; pulumi up')
    for machine in seen.machines:
        yield _machine_line(machine, seen.rt.clock())


def _machine_line(machine: Machine, now: float) -> Line:
    checks, guest = machine.own_checks, dict(machine.config.get("guest") or {})
    passing = sum(check.status == "passing" for check in checks)
    # What a machine that runs was told last is when it began; of any other, the newest event is what happened to it.
    began = {"start", "launch", "update"} if machine.state == "started" else {event.type for event in machine.events}
    times = [event.timestamp / 1000 for event in machine.events if event.type in began]
    swap = dict(machine.config.get("init") or {}).get("swap_size_mb") or 0
    memory = f"{guest.get('memory_mb', '?')} MB" + (f" and {swap} MB of swap" if swap else "")
    good = machine.state == "started" and machine.healthy and not machine.cordoned
    words = [
        f"{machine.label} ({machine.id}) in {machine.region}",
        f"{machine.state} {age(now - max(times))}" if times else machine.state,
        f"{passing} of {len(checks)} checks passing",
        memory,
        f"image {machine.image.digest[:19] or 'not known'}",
        *(["cordoned"] if machine.cordoned else []),
        *(f"{check.name}: {check.output or check.status}" for check in checks if check.status != "passing"),
    ]
    facts: dict[str, object] = {
        "id": machine.id,
        "name": machine.label,
        "region": machine.region,
        "machine_state": machine.state,
        "image_digest": machine.image.digest,
        "memory_mb": guest.get("memory_mb"),
        "swap_mb": swap,
        "checks": {check.name: check.status for check in checks},
        "cordoned": machine.cordoned,
    }
    return Line(part="machine", state="ok" if good else "problem", text=redacted(", ".join(words)), facts=facts)


def database(seen: Seen) -> Lines:
    """Size and connections, as one of the machines sees them."""
    database, pool = seen.status.database, seen.status.pool
    if not database:
        yield Line(part="database", state="problem", text="the server gets no answer from it; read the app's log")
        return
    used, limit = int(database["connections"]), int(database["connections_limit"])
    text = f"{megabytes(float(database['size_bytes']))}, {used} of {limit} connections in use"
    if pool:
        text += f" (the server holds {pool['used'] + pool['idle']} of at most {pool['limit']})"
    state: State = "problem" if used > CONNECTIONS_SHARE * limit else "ok"
    facts: dict[str, object] = {
        "size_bytes": database["size_bytes"],
        "connections": used,
        "connections_limit": limit,
        "pool": dict(pool),
    }
    yield Line(part="database", state=state, text=text, facts=facts)


def runs(seen: Seen) -> Lines:
    """Flow runs that are open, late, and ended in the last hour."""
    database = seen.status.database
    if not database:
        return
    late, seconds = int(database["late"]), float(database["lateness_seconds"])
    open_, ended = dict(database["open"]), dict(database["ended"])
    behind = f"{late} late, the latest {age(seconds)}" if late else "none late"
    shown = ", ".join(f"{number} {name.lower()}" for name, number in open_.items() if number) or "none open"
    past = ", ".join(f"{number} {name.lower()}" for name, number in ended.items() if number) or "none ended"
    state: State = "problem" if seconds > LATE_SECONDS else "note" if late else "ok"
    facts: dict[str, object] = {"open": open_, "ended_last_hour": ended, "late": late, "lateness_seconds": seconds}
    yield Line(part="runs", state=state, text=f"{shown}; {behind}; in the last hour {past}", facts=facts)


def login(seen: Seen) -> Lines:
    """Whose key all of this is asked with."""
    own = seen.own_key
    state, text = own.judged(seen.rt.clock())
    facts: dict[str, object] = {"key": own.name, "rights": own.rights, "expires": own.expires}
    yield Line(part="login", state=state, text=text, facts=facts)


def keys(seen: Seen) -> Lines:
    """A line for each key: its last use, added up over the machines, which count for themselves."""
    try:
        ids = [machine.id for machine in seen.machines if serves(machine)]
    except (ApiError, WrongWorldError):
        ids = []  # the machines' own line says why; one of them answers without Fly's help
    uses: dict[str, list[KeyUse]] = {}
    for machine in ids or [""]:
        for name, use in seen.key_use(machine).items():
            uses.setdefault(name, []).append(use)
    for name in sorted(uses):
        yield _key(name, uses[name], seen)


def _key(name: str, uses: list[KeyUse], seen: Seen) -> Line:
    accepted, refused = sum(use.accepted for use in uses), sum(use.refused for use in uses)
    newest = max(uses, key=lambda use: use.last_accepted or 0.0)
    last, client = newest.last_accepted, newest.client_version or ""
    silence = seen.rt.clock() - last if last else None
    awaited = name == ORCHESTRATOR and seen.stack.connected
    old = is_before_3(client)
    state: State = "problem" if old else "note" if awaited and (silence is None or silence > SILENT_SECONDS) else "ok"
    text = f"last used {age(silence)}" if silence is not None else "not used since the server started"
    text += f", {accepted} accepted, {refused} refused" + (f", Prefect {client}" if client else "")
    text += "; a client before 3 cannot use this server: upgrade it" if old else ""
    facts: dict[str, object] = {
        "key": name,
        "last_accepted": last,
        "accepted": accepted,
        "refused": refused,
        "client_version": client or None,
    }
    return Line(part=f"key {name}", state=state, text=text, facts=facts)


def cost(seen: Seen) -> Lines:
    """What the machines that there are cost, as they are."""
    total = 0.0
    for machine in seen.machines:
        guest = dict(machine.config.get("guest") or {})
        kind, cpus, memory = guest.get("cpu_kind", "shared"), guest.get("cpus", 1), guest.get("memory_mb", 256)
        usd = monthly_usd(cpu_kind=kind, cpus=cpus, memory_mb=memory, regions=[machine.region])
        if usd is None:
            text = f'not known: Fly\'s price of region "{machine.region}" is not in costs.py'
            yield Line(part="cost", state="note", text=text, facts={"monthly_usd": None})
            return
        total += usd
    number = len(seen.machines)
    what = "1 machine" if number == 1 else f"{number} machines"
    text = f"{total:.2f} USD per month on Fly ({what})"
    yield Line(part="cost", state="ok", text=text, facts={"monthly_usd": round(total, 2)})
