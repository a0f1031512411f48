from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from graphql import GraphQLNamedType, get_named_type, is_abstract_type, is_leaf_type

from sandbox.fly.errors import NotFound
from sandbox.fly.graphql import NotServedError, answer, schema

_QUERY = """
# a comment
query Q($name: String! = "web", $kinds: String = null) {
  app(name: $name, internalId: $kinds) { ...Part ... on App { deployed } }
}
fragment Part on App { alias: name }
"""


def ask(query: str, root: Mapping[str, Any], **variables: Any) -> dict[str, Any]:
    """Return the reply to one query."""
    return asyncio.run(answer({"query": query, "variables": variables}, root))


def test_fragments_variables_and_aliases_reach_the_object() -> None:
    """Named and inline fragments merge under their aliases, and a variable's default or value reaches the function."""
    seen = []

    def app(**arguments: object) -> dict[str, object]:
        seen.append(arguments)
        return {"name": arguments["name"], "deployed": True}

    assert ask(_QUERY, {"app": app}) == {"data": {"app": {"alias": "web", "deployed": True}}}
    assert ask(_QUERY, {"app": app}, name="api")["data"]["app"]["alias"] == "api"
    assert seen == [{"name": "web", "internalId": None}, {"name": "api", "internalId": None}]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ('{ app(name: "web") { organization { moonPhase } } }', "query.app.organization.moonPhase"),
        ("mutation { launchRocket { id } }", "mutation.launchRocket"),
        ("{ app { ...Part } } fragment Part on App { moonPhase }", "fragment Part.moonPhase"),
        ('{ app(moon: "full") { id } }', "'moon'"),
        ("query ($input: RocketInput!) { app { id } }", "'RocketInput'"),
    ],
)
def test_what_the_schema_does_not_have_is_named(query: str, named: str) -> None:
    """An unknown field is named by its path, an unknown argument or type by its name, and nothing is executed."""
    with pytest.raises(NotServedError, match=named.replace(".", r"\.")):
        ask(query, {})


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("query { app(", "GRAPHQL_PARSE_FAILED"),
        ("{ app { organization } }", "GRAPHQL_VALIDATION_FAILED"),
        ("query ($name: Int) { app(name: $name) { id } }", "GRAPHQL_VALIDATION_FAILED"),
        ("query ($id: ID!) { apps(organizationId: $id) { nodes { id } } }", "UNPROCESSABLE"),
    ],
)
def test_a_query_that_is_wrong_is_refused_with_its_kind(query: str, code: str) -> None:
    """A query that cannot be read, is invalid, or comes without a variable it needs is an error, not an answer."""
    reply = ask(query, {})
    assert (reply["data"], reply["errors"][0]["extensions"]) == (None, {"code": code})


def test_a_refusal_is_an_error_beside_null_and_a_mistake_of_ours_is_not_hidden() -> None:
    """A function that refuses gives null and an error with its path; one that breaks breaks the call."""

    def nobody(**_: object) -> None:
        raise NotFound("app not found")

    reply = ask('{ app(name: "x") { id } }', {"app": nobody})
    assert (reply["data"], reply["errors"][0]["message"]) == ({"app": None}, "Could not find App")
    assert (reply["errors"][0]["path"], reply["errors"][0]["extensions"]) == (["app"], {"code": "NOT_FOUND"})
    with pytest.raises(KeyError, match="id"):
        ask('{ app(name: "x") { id } }', {"app": lambda **_: {}})


def test_every_type_of_the_schema_can_be_reached() -> None:
    """No type stands in the schema that no query or mutation leads to: it says what is served, and no more."""
    reached: set[str] = set()

    def visit(kind: GraphQLNamedType) -> None:
        if kind.name in reached:
            return
        reached.add(kind.name)
        for field in () if is_leaf_type(kind) else getattr(kind, "fields", {}).values():
            for part in (field, *getattr(field, "args", {}).values()):
                visit(get_named_type(part.type))
        for possible in schema().get_possible_types(kind) if is_abstract_type(kind) else ():
            visit(possible)

    for root in (schema().query_type, schema().mutation_type):
        assert root is not None
        visit(root)
    served = {name for name in schema().type_map if not name.startswith("__")}
    assert served - reached - {"Float", "Boolean"} == set()
