"""The step type `sqlite.query`: one SQL statement on an SQLite file.

    type: sqlite.query
    config:
      database: app.db          relative to the run's directory
      sql: SELECT id FROM user WHERE name = ?
      values: ["{{.inputs.name}}"]

The rows are the state's `JSON`, a list of mappings; its `Output` is the first value of the first row.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from awf_core.errors import AwfError
from awf_core.extensions.steps import Routing, StepAborted, StepContext, StepResult
from awf_core.lang.problems import StepProblem
from awf_core.lang.templates import Template, compile_template

if TYPE_CHECKING:
    from awf_core.lang.fields import StateFields
    from awf_core.lang.model import State


@dataclass(frozen=True, slots=True, kw_only=True)
class QuerySpec:
    """What the state says. The statement itself is no template, so that values can't change it."""

    database: Template
    sql: str
    values: tuple[Template, ...]


class SqliteQueryStep:
    """`type: sqlite.query`."""

    name = "sqlite.query"
    aliases: tuple[str, ...] = ()
    routing = Routing()

    def parse(self, fields: StateFields) -> QuerySpec:
        """Read `config`. Raises StepProblem, which names the state, the file and the line."""
        config = fields.nested("config")
        if config is None or not config.text("database") or not config.text("sql"):
            raise StepProblem("config needs `database` and `sql`", key="config")
        return QuerySpec(
            database=compile_template(config.text("database")),
            sql=config.text("sql"),
            values=tuple(compile_template(value) for value in config.list_of_text("values")),
        )

    def successor(self, state: State) -> str | None:
        """Where a success leads."""
        return state.on_success

    def run(self, state: State, context: StepContext) -> StepResult:
        """Run the statement and commit. What the database refuses is a failure of the state."""
        spec = state.spec
        assert isinstance(spec, QuerySpec)
        try:
            database = spec.database.render(context.scope)
            values = [value.render(context.scope) for value in spec.values]
        except AwfError as problem:
            raise StepAborted(f"step {state.name}: {problem.message}") from problem
        left_s = context.deadline.left_s()
        try:
            rows = _rows(str(context.execution.cwd / database), spec.sql, values, wait_s=left_s or 5.0)
        except sqlite3.Error as problem:
            return StepResult(status="failed", error=f"{database}: {problem}")
        first = next(iter(rows[0].values())) if rows else ""
        return StepResult(status="completed", output=str(first), json=rows)


def _rows(path: str, sql: str, values: list[str], *, wait_s: float) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(path, timeout=wait_s)) as connection, connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql, values).fetchall()]
