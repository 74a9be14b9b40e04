"""Statements about many rows at once."""

import sqlite3
from contextlib import closing

from hypothesis import given
from hypothesis.strategies import integers

from veneer.ledger._sqlite_tables import Bulk


@given(integers(0, 400))
def test_all_rows_are_written_in_their_order_by_statements_of_a_few_sizes(count: int) -> None:
    bulk = Bulk("INSERT INTO numbers", "?, 'constant', ?")
    rows = [(number, number * 2) for number in range(count)]
    done: list[str] = []
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE numbers (one, two, three)")
        connection.set_trace_callback(done.append)
        bulk.run(connection, rows)
        connection.set_trace_callback(None)
        found = connection.execute("SELECT one, two, three FROM numbers ORDER BY rowid").fetchall()
    assert found == [(one, "constant", three) for one, three in rows]
    sizes = {statement.count("constant") for statement in done}
    assert sizes <= {1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 64}
