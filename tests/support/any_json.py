"""Hypothesis strategies for JSON, and for values of which the engine does not know a part yet."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from pulumi.output import Unknown

UNKNOWN = Unknown()  # type: ignore[no-untyped-call]

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**40), max_value=2**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def partly_unknown(draw: st.DrawFn, value: Any) -> Any:
    """Return `value` with one of its parts, or the whole, unknown."""
    if isinstance(value, dict) and value and draw(st.booleans()):
        key = draw(st.sampled_from(sorted(value)))
        return {**value, key: draw(partly_unknown(value[key]))}
    if isinstance(value, list) and value and draw(st.booleans()):
        index = draw(st.integers(0, len(value) - 1))
        return [*value[:index], draw(partly_unknown(value[index])), *value[index + 1 :]]
    return UNKNOWN
