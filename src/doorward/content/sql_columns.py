"""Columns that are calls: PostgreSQL takes ``x.f`` for ``f(x)`` where ``x`` is a value and has no column ``f``.

That is so of any value in parentheses or behind an index, ``('/etc/passwd'::text).pg_read_file``, and of a function in
FROM that returns no row: ``SELECT x.pg_read_file FROM lower('/etc/passwd') x``. So the name behind such a value is
judged as a function's. A column of a table, of a query or of a function that returns rows with names is a column.
Source: PostgreSQL "Using Composite Types in Queries", ``ParseFuncOrColumn``.

Which value is a row of a type that has this field, only the database knows: ``(address).city`` is refused, and
``to_jsonb(address) ->> 'city'`` passes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

# Of functions that return them, whatever row they are of: the parts of an object, the number of a row.
_RETURNED: Final = re.compile(r"key|value|ordinality|f[0-9]{1,4}", re.IGNORECASE)
_RETURN_ROWS: Final = frozenset(
    f"json{b}_{name}"
    for b in ("", "b")
    for name in "each each_text populate_record populate_recordset to_record to_recordset".split()
)
# They stand without parentheses, also in FROM; so does `user`, which tables are called elsewhere, and is a short name.
_WITHOUT_PARENTHESES: Final = frozenset(
    """current_catalog current_date current_role current_schema current_time current_timestamp current_user localtime
    localtimestamp session_user system_user""".split()
)


def problem(root: Any, why_no_call: Callable[[str], str]) -> str:
    """Why a column in ``root`` may be a call that does more than read, or nothing. ``why_no_call`` says it of a
    function's name.
    """
    tables, returned = _sources(root)
    for value, name in _fields(root, tables, returned):
        if _RETURNED.fullmatch(name) or (value is not None and _is_a_row(value)):
            continue
        if why := why_no_call(name):
            return f"takes a field of a value, which may be a call: {why}"
    return ""


def _fields(root: Any, tables: set[str], returned: dict[str, set[str]]) -> Iterator[tuple[Any, str]]:
    """The value, where it is one of an expression, and the name of everything that may be a call."""
    from sqlglot import exp

    for node in root.walk():
        if isinstance(node, exp.Dot) and isinstance(node.expression, exp.Identifier):
            yield node.this, node.expression.name
        elif isinstance(node, exp.Column) and node.table and not isinstance(node.this, exp.Star):
            source = node.table.casefold()
            is_column = node.name.casefold() in returned[source] if source in returned else source in tables
            if not is_column:
                yield None, node.name


def _sources(root: Any) -> tuple[set[str], dict[str, set[str]]]:
    """What stands in FROM by its name: what only has columns; and what functions return, with the columns that each of
    that name was given.
    """
    from sqlglot import exp

    tables: set[str] = set()
    returned: dict[str, set[str]] = {}
    for node in root.find_all(exp.Table, exp.Subquery, exp.CTE, exp.Lateral, exp.Unnest, exp.Values):
        if isinstance(node.parent, exp.Lateral):
            continue  # which has its name
        named = node.args.get("alias")
        given = {column.name.casefold() for column in named.columns} if named is not None else set()
        if isinstance(node.args.get("offset"), exp.Identifier):
            given.add(node.args["offset"].name.casefold())  # the last of them, WITH ORDINALITY
        for name in {node.alias.casefold()} if node.alias else _own_names(node):
            if _has_columns_only(node):
                tables.add(name)
            else:
                columns = given or {name}  # a single value has the name of what it stands under
                returned[name] = returned[name] & columns if name in returned else columns
    return tables, returned


def _has_columns_only(node: Any) -> bool:
    from sqlglot import exp

    inner = node.this
    if isinstance(node, exp.Table):
        if isinstance(inner, exp.Identifier):
            return inner.quoted or bool(node.db) or inner.name.lower() not in _WITHOUT_PARENTHESES
        return isinstance(inner, exp.XMLTable | exp.JSONTable) or _is_a_row(inner)
    if isinstance(node, exp.Lateral):
        return isinstance(inner, exp.Subquery) or _is_a_row(inner)
    return not isinstance(node, exp.Unnest)


def _own_names(node: Any) -> set[str]:
    """What a thing in FROM is called that was given no name: as the table, or as the function."""
    from sqlglot import exp

    names = {node.name, "unnest" if isinstance(node, exp.Unnest) else ""}
    for inner in (node.this, *(node.args.get("rows_from") or ())):
        function = inner.this if isinstance(inner, exp.Table) else inner
        if isinstance(function, exp.Func):
            names |= {function.name, *type(function).sql_names()}
    return {name.casefold() for name in names if name}


def _is_a_row(value: Any) -> bool:
    """Whether ``value`` is what a function returned that returns rows, whose fields are fields."""
    from sqlglot import exp

    inner = value.unnest() if isinstance(value, exp.Paren) else value
    return isinstance(inner, exp.Anonymous) and inner.name.lower() in _RETURN_ROWS
