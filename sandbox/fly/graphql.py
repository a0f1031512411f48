"""Answers GraphQL documents with graphql-core: parsed, validated against schema.graphql, executed on plain objects.

An object is a mapping from field names to values, or to functions of the field's arguments. What schema.graphql does
not have is not served, and is said to be so by name instead of being one invalid query among others.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graphql import (
    ExecutionResult,
    FieldNode,
    FieldsOnCorrectTypeRule,
    GraphQLError,
    GraphQLResolveInfo,
    GraphQLSchema,
    KnownArgumentNamesRule,
    KnownTypeNamesRule,
    build_schema,
    execute,
    parse,
    specified_rules,
    validate,
)
from graphql.language import DocumentNode, Node, OperationDefinitionNode

from sandbox.fly.errors import FlyProblem

# In the order in which their findings are told: an unknown field is the reason for an unknown type beside it.
_NOT_SERVED_RULES = (FieldsOnCorrectTypeRule, KnownArgumentNamesRule, KnownTypeNamesRule)
_OTHER_RULES = tuple(rule for rule in specified_rules if rule not in _NOT_SERVED_RULES)


class NotServedError(LookupError):
    """A document asks for a field, argument or type that schema.graphql does not have; the text names it."""


@functools.cache
def schema() -> GraphQLSchema:
    """Return what is served."""
    return build_schema(Path(__file__).with_name("schema.graphql").read_text(encoding="utf-8"))


async def answer(body: Mapping[str, Any], root: Mapping[str, Any]) -> dict[str, Any]:
    """Return the reply to a request's body (`query`, `variables`, `operationName`): `data`, `errors` or both.

    Raises:
        NotServedError: something is asked for that the sandbox does not have.
    """
    try:
        document = parse(str(body.get("query") or ""))
    except GraphQLError as problem:
        return {"data": None, "errors": [_error(problem, "GRAPHQL_PARSE_FAILED")]}
    _require_served(document)
    if problems := validate(schema(), document, _OTHER_RULES):
        return {"data": None, "errors": [_error(problem, "GRAPHQL_VALIDATION_FAILED") for problem in problems]}
    result = execute(
        schema(),
        document,
        root,
        variable_values=body.get("variables") or {},
        operation_name=body.get("operationName") or None,
        field_resolver=_resolve,
    )
    return _reply(await result if inspect.isawaitable(result) else result)


def _resolve(source: Mapping[str, Any], info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
    value = source[info.field_name]
    return value(**arguments) if callable(value) else value


def _require_served(document: DocumentNode) -> None:
    for rule in _NOT_SERVED_RULES:
        for problem in validate(schema(), document, [rule]):
            node = (problem.nodes or [document])[0]
            where = _path_to(node, document) if isinstance(node, FieldNode) else ""
            raise NotServedError(where or problem.message)


def _path_to(wanted: Node, document: DocumentNode) -> str:
    """Return the dotted path of a field, from its operation or fragment."""

    def search(node: Node, path: str) -> str:
        for child in getattr(getattr(node, "selection_set", None), "selections", ()):
            here = f"{path}.{child.name.value}" if isinstance(child, FieldNode) else path
            if child is wanted:
                return here
            if found := search(child, here):
                return found
        return ""

    for definition in document.definitions:
        operation = isinstance(definition, OperationDefinitionNode)
        start = definition.operation.value if operation else f"fragment {definition.name.value}"  # type: ignore[attr-defined]
        if found := search(definition, start):
            return found
    return ""


def _reply(result: ExecutionResult) -> dict[str, Any]:
    reply: dict[str, Any] = {"data": result.data}
    if result.errors:
        reply["errors"] = [_refusal(problem) for problem in result.errors]
    return reply


def _refusal(problem: GraphQLError) -> dict[str, Any]:
    """Return a refusal in GraphQL's form; anything else that a resolver raises is the sandbox's own mistake."""
    cause = problem.original_error
    if cause is None or isinstance(cause, GraphQLError):
        return _error(problem, "UNPROCESSABLE")
    if not isinstance(cause, FlyProblem):
        raise cause
    error = _error(problem, "NOT_FOUND" if cause.http_status == 404 else "UNPROCESSABLE")
    return error | {"message": cause.text.replace("app not found", "Could not find App")}


def _error(problem: GraphQLError, code: str) -> dict[str, Any]:
    return {**problem.formatted, "extensions": {"code": code}}
