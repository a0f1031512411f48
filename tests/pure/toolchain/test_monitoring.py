"""What can be said of monitoring/ without a server and without promtool."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from toolchain.monitoring import as_rules

MONITORING = Path(__file__).resolve().parents[3] / "monitoring"
DASHBOARD = MONITORING / "dashboard.json"


def test_panels_stand_side_by_side() -> None:
    """No two panels cover one another, none leaves the page, each has a title, a number of its own and a question."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        own = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not own & cells, panel["title"]
        assert at["x"] + at["w"] <= 24
        assert panel["title"]
        assert panel["type"] == "row" or all(target["expr"] for target in panel["targets"])
        cells |= own
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_every_rule_says_what_and_what_to_do_and_is_tested() -> None:
    """Each alert has a severity, a sentence and an advice; the tests of the rules raise every one of them."""
    rules = [r for group in yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"] for r in group["rules"]]
    tested = (MONITORING / "alerts.test.yml").read_text()
    for rule in rules:
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert set(rule["annotations"]) == {"summary", "action", "runbook"}
        assert rule["alert"] in tested
    assert len(rules) >= 13


def test_the_dashboards_questions_are_read_as_rules() -> None:
    """Every expression of the dashboard becomes a rule without a variable of Grafana's left in it."""
    asked = [target for panel in json.loads(DASHBOARD.read_text())["panels"] for target in panel.get("targets", [])]
    rules = json.loads(as_rules(DASHBOARD))["groups"][0]["rules"]
    assert len(rules) == len(asked) > 0
    assert not any("$" in rule["expr"] for rule in rules)
