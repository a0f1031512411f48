from __future__ import annotations

from typing import Any

import pytest

from clients.fly.config import differences, has_checks, nanoseconds, normalised, observed, stays_up, with_marks

WANTED: dict[str, Any] = {
    "image": "registry.fly.io/shop@sha256:aa",
    "env": {"A": "1"},
    "init": {"cmd": ["serve"], "swap_size_mb": 512},
    "guest": {"cpu_kind": "shared", "cpus": 1, "memory_mb": 256},
    "restart": {"policy": "always"},
    "services": [
        {
            "protocol": "tcp",
            "internal_port": 4200,
            "autostop": "off",
            "autostart": True,
            "ports": [{"port": 443, "handlers": ["http", "tls"]}],
            "checks": [
                {"type": "http", "interval": "60s", "timeout": "5s", "grace_period": "1m", "path": "/api/ready"}
            ],
        }
    ],
    "metadata": {"mine": "1"},
}


def as_fly_shows_it() -> dict[str, Any]:
    """Return WANTED in the spelling of the API, with its defaults filled in."""
    service = WANTED["services"][0] | {
        "autostop": False,
        "force_instance_key": None,
        "min_machines_running": 0,
        "concurrency": {"type": "connections", "soft_limit": 20, "hard_limit": 25},
        "checks": [
            {
                "type": "http",
                "interval": "1m0s",
                "timeout": 5_000_000_000,
                "grace_period": "1m0s",
                "path": "/api/ready",
                "port": 4200,
            }
        ],
        "ports": [{"port": 443, "handlers": ["http", "tls"], "force_https": False}],
    }
    return WANTED | {
        "services": [service],
        "metadata": {"mine": "1", "fly_flyctl_version": "0.4.87"},
        "restart": {"policy": "always", "max_retries": 10},
        "dns": {},
        "auto_destroy": False,
        "guest": {"cpu_kind": "shared", "cpus": 1, "memory_mb": 256, "persist_rootfs": "never"},
    }


def test_normalised_values_and_filled_in_defaults_are_no_difference() -> None:
    """Durations, autostop and everything that only the server states do not show."""
    assert differences(WANTED, as_fly_shows_it()) == ()
    assert observed(WANTED, as_fly_shows_it()) == WANTED


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"image": "registry.fly.io/shop@sha256:bb"}, "image"),
        ({"env": {"A": "2"}}, "env.A"),
        ({"env": {"A": "1", "B": "stranger"}}, "env.B"),
        ({"env": {}}, "env.A"),
        ({"guest": {"cpu_kind": "shared", "cpus": 1, "memory_mb": 512}}, "guest.memory_mb"),
        ({"services": []}, "services"),
        ({"mounts": [{"volume": "vol_1", "path": "/data"}]}, "mounts"),
        ({"checks": {"up": {"type": "tcp", "port": 1}}}, "checks"),
        ({"restart": None}, "restart"),
        ({"metadata": {}}, "metadata.mine"),
    ],
)
def test_what_another_tool_changed_is_named_by_its_path(change: dict[str, Any], path: str) -> None:
    """Image, env, size, checks, services: each change, addition and removal is told apart."""
    live = as_fly_shows_it() | change
    assert differences(WANTED, live) == (path,)
    assert differences(observed(WANTED, live), live) == ()


def test_a_change_inside_a_service_is_named_to_its_place() -> None:
    """A check's path and an autostop switched on elsewhere have the list's index in their name."""
    live = as_fly_shows_it()
    live["services"][0] |= {"autostop": "suspend", "checks": [live["services"][0]["checks"][0] | {"path": "/"}]}
    assert differences(WANTED, live) == ("services[0].autostop", "services[0].checks[0].path")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1m0s", 60 * 10**9),
        ("60s", 60 * 10**9),
        ("1h30m", 5400 * 10**9),
        ("1.5s", 1_500_000_000),
        ("250ms", 250_000_000),
        (5, 5),
        ("soon", "soon"),
        ("", ""),
    ],
)
def test_durations_are_compared_in_nanoseconds(text: object, value: object) -> None:
    """Go's spelling and bare numbers mean the same; what is no duration stays as it is."""
    assert nanoseconds(text) == value


def test_the_engine_s_floats_and_nones_do_not_reach_fly() -> None:
    """Numbers arrive as floats from protobuf, and a None is as good as a missing key."""
    assert normalised({"a": 1.0, "b": [2.0, 2.5], "c": None, "d": {"e": None, "f": True}}) == {
        "a": 1,
        "b": [2, 2.5],
        "d": {"f": True},
    }
    assert isinstance(normalised(1.0), int)


def test_marks_make_the_machine_flyctl_s_and_ours_and_keep_what_the_caller_set() -> None:
    """Without platform version and group flyctl skips it; a services machine keeps its own group."""
    marked = with_marks(
        {"image": "i", "metadata": {"fly_process_group": "services"}, "env": {"A": "1"}},
        name="m",
        owner="o",
        region="ewr",
    )
    assert marked["metadata"] == {
        "fly_platform_version": "v2",
        "fly_process_group": "services",
        "prefect_fly_owner": "o",
        "prefect_fly_name": "m",
    }
    assert marked["env"] == {"FLY_PROCESS_GROUP": "services", "PRIMARY_REGION": "ewr", "A": "1"}
    assert with_marks({"image": "i"}, name="m", owner="o", region="ewr")["metadata"]["fly_process_group"] == "app"


def test_checks_and_autostop_are_read_from_the_config() -> None:
    """A config without checks is not waited for in vain, and one that may stop is not drift when it did."""
    assert has_checks(WANTED)
    assert has_checks({"checks": {"a": {}}})
    assert not has_checks({"services": [{"checks": []}]})
    assert stays_up(as_fly_shows_it())
    assert stays_up({})
    assert not stays_up({"services": [{"autostop": True}]})
    assert not stays_up({"services": [{"autostop": "suspend"}]})
