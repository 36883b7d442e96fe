"""One query that only reads, told from everything that only looks like one."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.content.constraints import read_only_sql
from doorward.content.sql import DIALECTS, MAX_SQL_BYTES

ANY = ("", *DIALECTS)


@pytest.mark.parametrize("dialect", ANY)
@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        "select name, count(*) from users where age > 30 group by name having count(*) > 2 order by 2 desc limit 10;",
        "WITH recent AS (SELECT * FROM orders WHERE at > '2026-01-01') SELECT * FROM recent r JOIN u ON u.id = r.who",
        "SELECT a FROM t UNION ALL SELECT b FROM u",
        "SELECT * FROM t WHERE note = 'DROP TABLE t; --' AND other = 'it''s'",
        'SELECT "drop" FROM "delete" WHERE x LIKE \'%\\_x\'',
        "SELECT coalesce(a, 0), lower(b), round(c, 2), substr(d, 1, 3), cast(e as integer) FROM t",
        "SELECT sum(x) OVER (PARTITION BY y ORDER BY z) FROM t",
        "SELECT a -- the first\nFROM t /* of all */ WHERE b IN (SELECT c FROM u) -- the end",
        "SELECT table_name FROM information_schema.tables",
        "EXPLAIN SELECT * FROM t",
        "  (SELECT 1)  ",
        "SELECT CASE WHEN a THEN 1 ELSE 0 END FROM t WHERE b BETWEEN 1 AND 2 AND c IS NOT NULL",
        "SELECT 1;;",
    ],
)
def test_a_query_passes_in_every_dialect(dialect: str, text: str) -> None:
    assert read_only_sql(text, dialect) is None


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        ("postgres", "SELECT a->>'b', a#>'{x,y}', a @> '{}'::jsonb FROM t WHERE c ~* 'x' AND d ILIKE '%y%'"),
        ("postgres", "SELECT DISTINCT ON (a) a, b FROM t, LATERAL (SELECT * FROM u WHERE u.x = t.x) l ORDER BY a, b"),
        ("postgres", "SELECT pg_size_pretty(pg_total_relation_size('t')), pg_catalog.format_type(1, 2), now()"),
        ("postgres", "SELECT array_agg(x), string_agg(y, ','), date_trunc('day', z) FROM t GROUP BY 3"),
        ("postgres", "EXPLAIN ANALYZE VERBOSE SELECT * FROM generate_series(1, 10) g"),
        ("postgres", "SELECT * FROM t WHERE at > now() - interval '1 day'"),
        ("postgres", "TABLE t"),
        ("postgres", "EXPLAIN (ANALYZE, BUFFERS) SELECT 1"),
        ("postgres", "explain (analyze true, verbose, format yaml) (SELECT 1)"),
        ("postgres", "SELECT pg_get_function_arguments(p.oid), pg_get_function_result(p.oid) FROM pg_proc p"),
        ("postgres", "SELECT pg_blocking_pids(pid), pg_has_role('a', 'member') FROM pg_stat_activity"),
        ("mysql", "EXPLAIN FORMAT=JSON SELECT 1"),
        ("mysql", "EXPLAIN ANALYZE FORMAT = TREE SELECT 1"),
        ("mysql", "SHOW INDEXES FROM t"),
        ("mysql", "SELECT USER(), UNIX_TIMESTAMP() FROM t WHERE at > DATE_SUB(NOW(), INTERVAL 1 DAY)"),
        ("mysql", "SELECT LAST_INSERT_ID(), CHARSET(a), COLLATION(a), SYSDATE(), CURRENT_TIMESTAMP() FROM t"),
        ("postgres", "SELECT to_regclass('t'), currval('s'), setweight(a, 'A'), ST_Centroid(b) FROM t"),
        ("mysql", "SELECT `a`, IF(b, 1, 2), DATE_FORMAT(c, '%Y-%m') FROM `db`.`t` LIMIT 5, 10"),
        ("mysql", "SHOW TABLES"),
        ("mysql", "SHOW CREATE TABLE t"),
        ("mysql", "DESCRIBE t"),
        ("mysql", "SELECT JSON_UNQUOTE(JSON_EXTRACT(a, '$.b')), GROUP_CONCAT(c), @@version FROM t"),
        ("sqlite", "SELECT [a], strftime('%Y', b), group_concat(c) FROM [t]"),
        ("sqlite", "SELECT name FROM sqlite_master WHERE type = 'table'"),
        ("sqlite", "SELECT * FROM pragma_table_info('t')"),
        ("sqlite", "EXPLAIN QUERY PLAN SELECT * FROM t"),
        ("sqlite", "SELECT * FROM json_each('[1,2]')"),
    ],
)
def test_what_a_dialect_knows_passes_under_its_name(dialect: str, text: str) -> None:
    assert read_only_sql(text, dialect) is None


@pytest.mark.parametrize("dialect", ANY)
@pytest.mark.parametrize(
    "text",
    [
        "",
        ";",
        "-- nothing",
        "nonsense",
        "DELETE FROM t",
        "INSERT INTO t VALUES (1)",
        "UPDATE t SET a = 1",
        "REPLACE INTO t VALUES (1)",
        "MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE",
        "TRUNCATE t",
        "DROP TABLE t",
        "CREATE TABLE t AS SELECT 1",
        "ALTER TABLE t ADD COLUMN a int",
        "GRANT ALL ON t TO x",
        "CALL p()",
        "EXECUTE p",
        "SET x = 1",
        "BEGIN",
        "COMMIT",
        "VACUUM INTO 'x'",
        "ATTACH DATABASE 'x' AS y",
        "DETACH y",
        "PRAGMA writable_schema = 1",
        "PRAGMA table_info(t)",
        "COPY t TO PROGRAM 'id'",
        "COPY (SELECT 1) TO '/tmp/x'",
        "LOAD DATA INFILE '/etc/passwd' INTO TABLE t",
        "DO $$ BEGIN DELETE FROM t; END $$",
        "EXPLAIN ANALYZE DELETE FROM t",
        "EXPLAIN DELETE FROM t",
        "EXPLAIN (ANALYZE) DELETE FROM t",
        "EXPLAIN (ANALYZE, FORMAT JSON) (DELETE FROM t)",
        "EXPLAIN (ANALYZE) WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a",
        "EXPLAIN ANALYZE FORMAT=TREE DELETE FROM t",
        "EXPLAIN (pg_sleep(1)) SELECT 1",
        # Stacked.
        "SELECT 1; DELETE FROM t",
        "SELECT 1; SELECT 2",
        "SELECT 1 /* */; DROP TABLE t",
        "SELECT 1;\n--\nDROP TABLE t",
        # Queries that write.
        "SELECT * INTO x FROM t",
        "SELECT 1 INTO OUTFILE '/tmp/x'",
        "SELECT 1 INTO DUMPFILE '/tmp/x'",
        "TABLE t INTO OUTFILE '/tmp/x'",
        "SELECT 1 INTO @a",
        "SELECT * FROM t FOR UPDATE",
        "SELECT * FROM t LOCK IN SHARE MODE",
        "WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a",
        "WITH a AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM a",
        "WITH a AS (SELECT 1), b AS (UPDATE t SET x = 1 RETURNING *) SELECT * FROM a, b",
        "WITH a AS (SELECT 1) DELETE FROM t",
        "SELECT (SELECT * FROM (DELETE FROM t RETURNING *) x)",
        "SELECT @a := 1",
        # Functions that read or write files, load code, sleep, or run what they are given.
        "SELECT load_extension('x')",
        "SELECT readfile('/etc/passwd')",
        "SELECT writefile('/tmp/x', 'y')",
        "SELECT LOAD_FILE('/etc/passwd')",
        "SELECT SLEEP(10)",
        "SELECT BENCHMARK(1000000000, md5('x'))",
        "SELECT GET_LOCK('a', 10)",
        "SELECT pg_sleep(10)",
        "SELECT PG_SLEEP (10)",
        'SELECT "pg_sleep"(10)',
        "SELECT pg_catalog.pg_sleep(10)",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT * FROM pg_read_file('/etc/passwd')",
        "SELECT * FROM pg_catalog.pg_ls_dir('/')",
        "SELECT lo_import('/etc/passwd')",
        "SELECT lo_export(1, '/tmp/x')",
        "SELECT dblink_exec('dbname=x', 'DELETE FROM t')",
        "SELECT query_to_xml('DELETE FROM t', true, true, '')",
        "SELECT nextval('s')",
        "SELECT setval('s', 1)",
        "SELECT set_config('a', 'b', false)",
        "SELECT pg_terminate_backend(1)",
        "SELECT sys_exec('id')",
        "SELECT xp_cmdshell('id')",
        "SELECT a FROM t ORDER BY pg_sleep(1)",
        "SELECT a FROM t WHERE b = (SELECT count(*) FROM generate_series(1, pg_sleep(1)))",
        "SELECT public.sum(a) FROM t",
        "SELECT * FROM public.f()",
        "SELECT read_csv('x')",
        "SELECT 1 OPERATOR(public.+) 2",
        # What hides behind quotes and comments.
        "SELECT 1 /*! INTO OUTFILE '/tmp/x' */",
        "SELECT 1 /*M! ; DELETE FROM t */",
        "SELECT /*+ SET_VAR(x = 1) */ 1",
        "SELECT 1 --1; DELETE FROM t",
        "SELECT 1 /* a /* b */ ; DELETE FROM t -- */",
        "SELECT 1 /* without an end",
        "SELECT 'a\\'; DELETE FROM t -- '",
        'SELECT "a\\"; DELETE FROM t -- "',
        "SELECT $$'$$; DELETE FROM t -- '",
        "SELECT $a$'$a$; DELETE FROM t -- '",
        "SELECT 'without an end",
        "SELECT 1\0; DELETE FROM t",
        "SELECT 1 -- a\rDELETE FROM t",
        "SELECT '\ud800'",
    ],
)
def test_what_is_more_than_a_query_is_refused_in_every_dialect(dialect: str, text: str) -> None:
    assert read_only_sql(text, dialect)


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        ("", "SELECT `a'b`; DELETE FROM t -- `'"),
        ("", "SELECT [a'b]; DELETE FROM t --'"),
        ("", "SELECT 1 # '\n; DELETE FROM t -- '"),
        ("mysql", "SELECT 1 # '\n; DELETE FROM t -- '"),
        ("sqlite", "SELECT 1 # '\n; DELETE FROM t -- '"),
        ("sqlite", "SELECT [a'b]; DELETE FROM t --'"),
        ("postgres", "SELECT ` '`; DELETE FROM t -- '"),
        ("", "SHOW TABLES"),
        ("postgres", "SHOW TABLES"),
        ("mysql", "SHOW TABLES; DELETE FROM t"),
        ("mysql", "DESCRIBE DELETE FROM t"),
    ],
)
def test_a_quote_that_only_some_databases_know_hides_nothing(dialect: str, text: str) -> None:
    assert read_only_sql(text, dialect)


FILE = "'/etc/hostname'::text"


@pytest.mark.parametrize("dialect", ["", "postgres"])
@pytest.mark.parametrize(
    "text",
    [
        # PostgreSQL calls a function of one argument by what looks like a column of that argument. Each of these read
        # the file, ended a backend or removed an object when it was run there.
        "SELECT (FILE).pg_read_file",
        'SELECT (FILE)."pg_read_file"',
        "SELECT (CAST('/etc/hostname' AS text)).pg_read_file",
        "SELECT (SELECT FILE).pg_read_file",
        "SELECT (t.x).pg_read_file FROM (SELECT FILE AS x) t",
        "SELECT (t).pg_read_file FROM (SELECT FILE AS t) u",
        "SELECT (lower(FILE)).pg_read_file",
        "SELECT t.arr[1].pg_read_file FROM (SELECT ARRAY[FILE] AS arr) t",
        "SELECT (ARRAY[FILE])[1].pg_read_file",
        "SELECT $1.pg_read_file",
        "SELECT (1).pg_terminate_backend",
        "SELECT 1 ORDER BY (FILE).pg_read_file",
        "SELECT x.pg_read_file FROM lower(FILE) x",
        'SELECT x."pg_read_file" FROM lower(FILE) AS "x"',
        "SELECT X.pg_read_file FROM lower(FILE) AS x",
        "SELECT lower.pg_read_file FROM lower(FILE)",
        "SELECT (x.*).pg_read_file FROM lower(FILE) x",
        "SELECT x.pg_read_file FROM ROWS FROM (lower(FILE)) x",
        "SELECT x.pg_read_file FROM t CROSS JOIN LATERAL lower(FILE) x",
        "SELECT x.pg_read_file FROM t JOIN LATERAL lower(FILE) x ON true",
        "SELECT x.pg_read_file FROM unnest(ARRAY[FILE]) AS x",
        "SELECT unnest.pg_read_file FROM unnest(ARRAY[FILE])",
        "SELECT x.pg_ls_dir FROM LATERAL unnest(ARRAY[FILE]) x",
        "SELECT x.pg_read_file FROM CAST('/etc/hostname' AS text) x",
        "SELECT x.pg_read_file FROM current_user x",
        "SELECT x.lo_unlink FROM generate_series(1, 2) x",
        "SELECT count(*) FROM generate_series(1, 2) x GROUP BY x.lo_unlink",
        "SELECT * FROM lower(FILE) x WHERE x.pg_read_file <> ''",
        # Where one name stands for two, and where a column of that name was given to another.
        "SELECT (SELECT x.pg_read_file FROM lower(FILE) x) FROM t x",
        "SELECT (SELECT x.pg_read_file FROM lower(FILE) x) FROM lower('a') x(pg_read_file)",
        "SELECT (SELECT lower.pg_read_file FROM lower(FILE)) FROM t lower",
        "SELECT pg_read_file.pg_read_file FROM lower(FILE) pg_read_file(v)",
        "SELECT (SELECT pg_read_file.pg_read_file FROM lower(FILE) pg_read_file(v)) FROM lower('a') pg_read_file",
    ],
)
def test_a_column_of_a_value_is_the_call_that_postgresql_makes_of_it(dialect: str, text: str) -> None:
    assert read_only_sql(text.replace("FILE", FILE), dialect)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT g.g, g FROM generate_series(1, 3) AS g",
        "SELECT generate_series.generate_series FROM generate_series(1, 3)",
        "SELECT e.v, e.n FROM unnest(ARRAY[1]) WITH ORDINALITY AS e(v, n)",
        "SELECT t.id, e.value->>'a' FROM t, jsonb_array_elements(t.d) e",
        "SELECT e.key, e.value FROM t CROSS JOIN LATERAL jsonb_each(t.d) AS e",
        "SELECT r.a FROM jsonb_to_recordset('[]') AS r(a int, b text)",
        "SELECT r.name FROM jsonb_populate_recordset(null::t, '[]') AS r",
        "SELECT j.a FROM XMLTABLE('/a' PASSING '<a/>' COLUMNS a text PATH '.') j",
        "SELECT l.n FROM t JOIN LATERAL (SELECT count(*) AS n FROM u WHERE u.t = t.id) l ON true",
        "SELECT public.t.a, c.relname FROM public.t, pg_catalog.pg_class c",
        "WITH w AS (SELECT 1 AS a) SELECT w.a, v.b FROM w, (VALUES (1)) AS v(b)",
        "SELECT j.a FROM (t JOIN u ON t.a = u.a) j",
        "SELECT (now()).date, (t.name).upper, (json_each(t.d)).key, (ROW(1, 2)).f2, (t.x).* FROM t",
    ],
)
def test_columns_of_tables_and_of_what_functions_return_pass(text: str) -> None:
    assert read_only_sql(text, "postgres") is None


@pytest.mark.parametrize("dialect", ["", "sqlite"])
@pytest.mark.parametrize(
    "text",
    [
        "SELECT data FROM fsdir WHERE path = '/etc/hostname'",
        "SELECT data FROM main.\"FsDir\" WHERE path = '/etc/hostname'",
        "SELECT * FROM t, zipfile WHERE file = 'x'",
        "SELECT * FROM pragma_optimize",
    ],
)
def test_a_function_that_sqlite_knows_as_a_table_is_judged_as_a_function(dialect: str, text: str) -> None:
    assert read_only_sql(text, dialect)


@pytest.mark.parametrize("pragma", ["table_list", "table_info", "foreign_key_list", "user_version", "page_count"])
def test_a_pragma_that_only_tells_passes_as_a_table(pragma: str) -> None:
    assert read_only_sql("SELECT * FROM pragma_X".replace("X", pragma), "sqlite") is None


def test_what_is_too_long_is_refused_and_what_is_as_long_as_it_may_be_is_not() -> None:
    longest = "SELECT '" + "x" * (MAX_SQL_BYTES - len("SELECT ''")) + "'"
    assert read_only_sql(longest) is None
    assert read_only_sql(longest + " ")
    assert read_only_sql("SELECT '" + "é" * (MAX_SQL_BYTES // 2) + "'")


@pytest.mark.parametrize("dialect", ANY)
@pytest.mark.parametrize(
    "text",
    [
        "select " + ",".join(["(" * 50 + "1" + ")" * 50] * 150),
        "select " + ",".join(["((((((a, b) -> c)))))"] * 500),
        "select " + "not " * 4000 + "1",
        "select " + "case when 1 then " * 800 + "1" + " end" * 800,
        "select a" + "[1]" * 5000,
        "select " + "max(" * 55 + "a" + ")" * 55,
        "select " + ",".join(["max(" * 50 + "a" + ")" * 50] * 50),
        "select 1" + "::int" * 3000,
        "select " + "a." * 8000 + "b",
        "select cast(a as " + "array<" * 2600,
        "select * from a " + "join b " * 2300,
        "select '" + "''" * 8000 + "'",
        "select " + "/**/" * 4000 + "1",
        "select 1 " + "-- a\n" * 3000,
        "select " + "(" * 16000,
    ],
    ids=lambda text: text[:20],
)
def test_no_text_keeps_the_parser_busy(dialect: str, text: str) -> None:
    read_only_sql("select 1", dialect)  # loaded
    began = time.process_time()
    read_only_sql(text[:MAX_SQL_BYTES], dialect)
    assert time.process_time() - began < 1


@given(
    st.sampled_from(ANY),
    st.lists(
        st.sampled_from(
            "select from ( ) , a 1 ' \" ` ; -- /* */ # [ ] with as delete drop into $$ \\ \n union table not in".split(
                " "
            )
        )
    ),
)
def test_a_judgment_is_total(dialect: str, words: list[str]) -> None:
    assert read_only_sql(" ".join(words), dialect) != ""


def test_another_dialect_is_an_authors_mistake() -> None:
    with pytest.raises(ValueError, match="no dialect"):
        read_only_sql("SELECT 1", "tsql")


def test_the_parser_is_loaded_only_by_a_query_and_says_nothing_of_what_it_reads() -> None:
    program = (
        "import sys; from doorward.content.constraints import read_only_sql; loaded = 'sqlglot' in sys.modules; "
        "read_only_sql('SELECT 1'); read_only_sql('EXPLAIN x; CALL secret()', 'mysql'); "
        "read_only_sql('SELECT 1 UNION CALL secret()', 'mysql'); print(loaded, 'sqlglot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert (done.stdout, done.stderr) == ("False True\n", "")


def test_what_is_judged_by_name_has_these_names_in_the_parser_that_is_installed() -> None:
    from sqlglot import exp

    from doorward.content import sql

    assert [name for name in sql._NEVER if not hasattr(exp, name)] == []  # noqa: SLF001 - its own table
    for kind in (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Copy, exp.LoadData):
        assert kind.__module__ in sql._WRITES  # noqa: SLF001 - as above
    for other in (exp.Create, exp.Drop, exp.Alter, exp.Command, exp.Pragma, exp.Attach, exp.Set, exp.Transaction):
        assert other.__module__ in sql._WRITES  # noqa: SLF001 - as above


PIECES = (
    "SELECT * FROM t", "SELECT a, count(*) FROM t GROUP BY a", "DELETE FROM t", "INSERT INTO t VALUES (1, 'x')",
    "UPDATE t SET a = 2", "WITH x AS (SELECT 1)", "WITH x(a) AS (VALUES (1))", "DROP TABLE t", "PRAGMA x = 7",
    "ATTACH ':memory:' AS y", "CREATE TABLE z (a)", "REPLACE INTO t VALUES (1, 2)", "VACUUM", "REINDEX", "BEGIN",
    ";", "--", "-- x\n", "/*", "*/", "/* x */", "'", "''", "';'", '"', '""', "`", "[", "]", "[t]", "(", ")", "\\", "\n",
    "EXPLAIN", "UNION ALL", "FROM t", "AS b", ", a", "WHERE a = 1", "RETURNING *", "INTO z", "load_extension('x')",
    "randomblob(2)", "ORDER BY 1", "LIMIT 1", "#", "$$", "$a$", "SELECT 'a' || b FROM t", "pragma_table_info('t')", "x",
)  # fmt: skip
READS = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=8), st.sampled_from(["", "sqlite"]))
def test_whatever_passes_only_reads_to_a_real_database(pieces: list[str], dialect: str) -> None:
    text = " ".join(pieces)
    if read_only_sql(text, dialect) is not None:
        return
    done: list[tuple[int, str | None]] = []

    def note(action: int, one: str | None, other: str | None, *_: object) -> int:
        done.append((action, other if action == sqlite3.SQLITE_FUNCTION else one))
        return sqlite3.SQLITE_OK

    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.executescript("CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 'x')")
        database.set_authorizer(note)
        with contextlib.suppress(sqlite3.Error):  # not every text that may pass is one that this database knows
            database.execute(text).fetchall()
        database.set_authorizer(None)
        assert database.execute("SELECT * FROM t").fetchall() == [(1, "x")]
    assert {action for action, _ in done} <= READS
    assert not {name for action, name in done if action == sqlite3.SQLITE_FUNCTION} & {"load_extension", "randomblob"}


def test_the_database_would_tell_of_a_write() -> None:
    seen: list[int] = []

    def note(action: int, *_: object) -> int:
        seen.append(action)
        return sqlite3.SQLITE_OK

    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE t (a)")
        database.set_authorizer(note)
        database.execute("DELETE FROM t")
    assert sqlite3.SQLITE_DELETE in seen
