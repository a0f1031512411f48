"""What a machine's program is started with."""

from __future__ import annotations

from sandbox.fly.models import Machine
from sandbox.machines.driver import Launch


def launch_of(machine: Machine) -> Launch:
    """Return what a boot is given: the config's variables, the machine's secrets over them, Fly's own over all."""
    config = machine.config
    init, guest = config.get("init") or {}, config["guest"]
    own = {
        "FLY_APP_NAME": machine.app,
        "FLY_MACHINE_ID": machine.id,
        "FLY_ALLOC_ID": machine.id,
        "FLY_MACHINE_VERSION": machine.instance_id,
        "FLY_PRIVATE_IP": machine.private_ip,
        "FLY_REGION": machine.region,
        "FLY_IMAGE_REF": config["image"],
        "FLY_VM_MEMORY_MB": str(guest["memory_mb"]),
    }
    return Launch(
        app=machine.app,
        machine_id=machine.id,
        image=config["image"],
        arguments=tuple(init.get("exec") or init.get("cmd") or ()),
        environment={**config["env"], **machine.secrets, **own},
        private_ip=machine.private_ip,
        memory_mb=int(guest["memory_mb"]),
        swap_mb=int(init.get("swap_size_mb") or 0),
        entrypoint=tuple(init.get("entrypoint") or ()),
    )
