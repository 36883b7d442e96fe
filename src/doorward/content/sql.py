"""Whether a text of SQL only reads: one query, told by a parser and not by its first word.

The text is read twice. First its quotes and comments, by rules of our own: what SQLite, PostgreSQL and MySQL end at
different places, or carry out although it stands in a comment, is refused. What is left goes to the parser of
``sqlglot``, without its comments, and of what that understood everything must be known to only read: one statement, a
query, no function that is not on a list. Whatever is not understood is refused.

What looks like a column and may be a call, in PostgreSQL, is judged as one (``content.sql_columns``).

It does not know what a database makes of a name: a view or a function that its owner defined under the name of a
harmless one may write. Nor what a query costs, nor which tables may be read. A login that may only read is the first
wall; this is the second.

The parser takes a quarter of a second to load and runs in Python, so it is loaded at the first query, a text is at
most 16 KiB long, and a parser that turns back too often is stopped after a counted number of steps.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from doorward.content import sql_columns

if TYPE_CHECKING:
    from sqlglot.dialects import Dialect

DIALECTS: Final = ("sqlite", "postgres", "mysql")
"""Those whose quotes, comments and functions were looked at; what others carry out is for their own login to limit."""
MAX_SQL_BYTES: Final = 16 << 10

_STEPS_PER_TOKEN: Final = 40  # the queries of the tests need less than ten
_DEEPEST: Final = 60
_MOST_SUBSCRIPTS: Final = 200  # the parser copies what stands before each
_AMBIGUOUS: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|\r(?!\n)|\\[\"'`]")
_PIECE: Final = re.compile(
    r"""'(?:[^']|'')*+'|"(?:[^"]|"")*+"|`(?:[^`]|``)*+`|--[^\n]*+|/\*.*?\*/|/\*|[^'"`\-/#$()\[\]\\;]++|.""", re.DOTALL
)
_DOLLAR_QUOTE: Final = re.compile(r"\$(?:[^\W\d]\w*)?\$")
_BEGINS: Final = re.compile(r"[\s(]*(?:select|with|values|table)\b", re.IGNORECASE)
_EXPLAIN: Final = re.compile(
    r"\s*explain\b\s*(?:query\s+plan\s+|\((?:\s*[a-z_]+(?:\s+[a-z0-9_]+)?\s*[,)]){1,12}\s*)?"
    r"(?:(?:analyze|verbose|format\s*=\s*[a-z_]+)\s+)*",
    re.IGNORECASE,
)
_INDEXES: Final = re.compile(r"(\s*show\s+)(?:indexes|keys)\b", re.IGNORECASE)  # which the parser does not know
_INSPECTS: Final = re.compile(r"\s*(?:show|describe|desc)\b", re.IGNORECASE)

_WRITES: Final = frozenset({"sqlglot.expressions.ddl", "sqlglot.expressions.dml"})
_NEVER: Final = frozenset(
    """Into Lock PropertyEQ Operator Grant Revoke Put Get ListStage Directory StoredProcedure MultitableInserts
    ConditionalInsert Block IfBlock WhileBlock LoopBlock RepeatBlock Return Analyze Command Semicolon Prior Hint
    AnonymousAggFunc CombinedAggFunc CombinedParameterizedAgg ParameterizedAgg DynamicIdentifier Columns Apply Secret
    NextValueFor ReadCSV ReadParquet ToFile NetFunc Predict GenerateEmbedding FeaturesAtTime VectorSearch MLForecast
    MLTranslate AIAgg AIClassify AIEmbed AIForecast AIGenerate AISimilarity AISummarizeAgg Transform""".split()
)
# Functions that sqlglot has no class for and that change, read and await nothing outside of the tables of the query.
_READING: Final = frozenset(
    """adddate addtime age any_value array_dims array_length array_lower array_ndims array_positions array_replace
    array_to_json array_upper ascii asin bin bin_to_uuid bit_and bit_count bit_length bit_or bm25 bool_and bool_or
    btrim cardinality ceiling changes char char_length character_length charset clock_timestamp coercibility
    col_description connection_id conv convert_from convert_to convert_tz cosd crc32 curdate current_database
    current_query current_schema current_schemas current_setting currval curtime database date_add date_bin date_format
    date_part date_sub datetime day dayname dayofmonth dayofweek dayofyear degrees div elt encode every exp export_set
    field find_in_set format format_bytes format_type found_rows from_days from_unixtime gcd generate_subscripts
    get_format glob has_any_column_privilege has_column_privilege has_database_privilege has_function_privilege
    has_schema_privilege has_sequence_privilege has_table_privilege has_type_privilege hex highlight icu_version iif
    inet6_aton inet6_ntoa inet_aton inet_client_addr inet_client_port inet_ntoa inet_server_addr inet_server_port instr
    is_ipv4 is_ipv6 isempty isfinite isnull json json_agg json_array json_array_elements json_array_elements_text
    json_array_length json_arrayagg json_build_array json_build_object json_contains json_contains_path json_depth
    json_each json_each_text json_extract_path json_extract_path_text json_group_array json_group_object json_insert
    json_keys json_length json_merge_patch json_merge_preserve json_object json_object_agg json_object_keys
    json_objectagg json_overlaps json_patch json_populate_record json_populate_recordset json_pretty json_quote
    json_remove json_replace json_schema_valid json_search json_set json_storage_size json_strip_nulls json_to_record
    json_to_recordset json_tree json_type json_typeof json_unquote json_valid json_value jsonb_agg jsonb_array_elements
    jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each jsonb_each_text
    jsonb_extract_path jsonb_extract_path_text jsonb_insert jsonb_object_agg jsonb_object_keys jsonb_path_exists
    jsonb_path_match jsonb_path_query jsonb_path_query_array jsonb_path_query_first jsonb_populate_record
    jsonb_populate_recordset jsonb_pretty jsonb_set jsonb_strip_nulls jsonb_to_record jsonb_to_recordset jsonb_typeof
    julianday justify_days justify_hours justify_interval last_day last_insert_id last_insert_rowid lastval lcm
    likelihood likely locate log10 log2 lower_inc lower_inf make_date make_interval make_set make_time make_timestamp
    make_timestamptz makedate maketime masklen microsecond mid mod monthname netmask network now num_nonnulls num_nulls
    obj_description oct octet_length ord parse_ident period_add period_diff pg_backend_pid pg_blocking_pids
    pg_column_size pg_conf_load_time pg_current_wal_lsn pg_database_size pg_encoding_to_char pg_function_is_visible
    pg_get_constraintdef pg_get_expr pg_get_function_arguments pg_get_function_identity_arguments
    pg_get_function_result pg_get_functiondef pg_get_indexdef pg_get_partkeydef pg_get_ruledef pg_get_serial_sequence
    pg_get_statisticsobjdef pg_get_triggerdef pg_get_userbyid pg_get_viewdef pg_has_role pg_indexes_size
    pg_is_in_recovery pg_last_wal_receive_lsn pg_last_wal_replay_lsn pg_options_to_table pg_postmaster_start_time
    pg_relation_filenode pg_relation_size pg_size_pretty pg_stat_get_dead_tuples pg_stat_get_live_tuples
    pg_table_is_visible pg_table_size pg_tablespace_location pg_tablespace_size pg_total_relation_size
    pg_type_is_visible pg_typeof pg_wal_lsn_diff phraseto_tsquery plainto_tsquery position pragma_database_list
    pragma_foreign_key_list pragma_index_info pragma_index_list pragma_table_info pragma_table_list pragma_table_xinfo
    printf quote quote_ident quote_literal quote_nullable range_agg range_merge regexp_match regexp_matches
    regexp_split_to_array regexp_split_to_table row row_count row_to_json scale schema sec_to_time session_user
    setweight sha224 sha256 sha384 sha512 shobj_description similarity sind snippet sqlite_compileoption_get
    sqlite_compileoption_used sqlite_source_id sqlite_version st_area st_asgeojson st_astext st_buffer st_centroid
    st_contains st_distance st_distance_sphere st_dwithin st_envelope st_geogfromtext st_geomfromgeojson
    st_geomfromtext st_intersects st_isvalid st_length st_makeenvelope st_makepoint st_point st_setsrid st_simplify
    st_srid st_transform st_union st_within st_x st_y statement_timestamp std strcmp strftime strict_word_similarity
    string_agg string_to_table subdate substr subtime sysdate system_user tand time time_bucket time_format time_to_sec
    timediff timeofday timestampadd timestampdiff to_ascii to_base64 to_char to_date to_days to_hex to_json to_jsonb
    to_number to_regclass to_regnamespace to_regproc to_regtype to_seconds to_timestamp to_tsquery to_tsvector total
    total_changes transaction_timestamp trim_array trim_scale ts_headline ts_rank ts_rank_cd tsvector_to_array typeof
    unaccent unhex unix_timestamp unixepoch unlikely upper_inc upper_inf user uuid_generate_v4 uuid_to_bin variance
    websearch_to_tsquery week weekday weekofyear word_similarity xmlagg yearweek""".split()
)
# Pragmas that only tell, as they do where they stand as tables and are given nothing.
_TELLING: Final = frozenset(
    f"pragma_{name}"
    for name in """application_id auto_vacuum cache_size collation_list compile_options data_version encoding
    foreign_key_check foreign_keys freelist_count function_list index_xinfo integrity_check journal_mode locking_mode
    max_page_count module_list page_count page_size pragma_list query_only quick_check schema_version secure_delete
    synchronous temp_store user_version""".split()
)
_FILES_AS_TABLES: Final = frozenset({"fsdir", "zipfile"})
_SYSTEM_SCHEMAS: Final = frozenset({"pg_catalog", "information_schema"})


class _Beyond(Exception):  # noqa: N818 - not an error of the text: the parser is stopped, and must not catch it
    """The parser took more steps than the text is worth, or would have guessed."""


def load() -> None:
    """Load the parser, which takes a quarter of a second at the first query otherwise."""
    for dialect in ("", *DIALECTS):
        why_not_read_only("SELECT 1", dialect)


def why_not_read_only(text: str, dialect: str = "") -> str | None:
    """Why ``text`` is not one query that only reads, or None. ``dialect`` is one of ``DIALECTS``, or empty: then only
    what all three read alike passes.

    Raises ValueError for another dialect: an author's mistake.
    """
    if dialect and dialect not in DIALECTS:
        raise ValueError(f"no dialect of SQL that is known here: {dialect[:40]}")
    if len(text) > MAX_SQL_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_SQL_BYTES:
        return f"longer than {MAX_SQL_BYTES} bytes of SQL"
    plain, problem = _without_comments(text, dialect)
    if problem:
        return problem
    plain = _INDEXES.sub(r"\1index", _EXPLAIN.sub("", plain, count=1), count=1)
    inspects = dialect == "mysql" and _INSPECTS.match(plain) is not None
    if not inspects and _BEGINS.match(plain) is None:
        return "not a query: a statement of another kind, or none"
    return _judged(plain, dialect, inspects=inspects)


def _without_comments(text: str, dialect: str) -> tuple[str, str]:
    """``text`` with a blank for each comment, and why its quotes and comments cannot be trusted (empty if they can)."""
    if _AMBIGUOUS.search(text):
        return "", "holds a control, or a backslash before a quote, which databases read differently"
    kept: list[str] = []
    depth = subscripts = 0
    for found in _PIECE.finditer(text):
        piece = found[0]
        if piece.startswith(("--", "/*")):
            if problem := _comment_problem(piece):
                return "", problem
            kept.append(" ")
            continue
        if problem := _piece_problem(piece, text, found.start(), dialect):
            return "", problem
        depth += (piece in "([") - (piece in ")]") if len(piece) == 1 else 0
        subscripts += piece == "["
        if depth > _DEEPEST or subscripts > _MOST_SUBSCRIPTS:
            return "", "nested too deeply"
        kept.append(piece)
    return "".join(kept), ""


def _comment_problem(comment: str) -> str:
    if comment.startswith("--"):
        # MySQL takes two dashes without a blank after them for two signs.
        return "" if comment[2:3] in ("", " ", "\t", "\n", "\r") else "holds a comment that may be none"
    if not comment.endswith("*/") or len(comment) < len("/**/"):
        return "holds a comment without an end"
    if re.match(r"/\*(?:M?!|\+)", comment):
        return "holds a comment that a database carries out"
    return "holds a comment in a comment" if "/*" in comment[2:] else ""


def _piece_problem(piece: str, text: str, start: int, dialect: str) -> str:
    if piece in ("'", '"', "`"):
        return "holds a quote without an end"
    if piece == "#" and dialect != "postgres":
        return "holds '#', which begins a comment in MySQL"
    if piece == "$" and _DOLLAR_QUOTE.match(text, start):
        return "holds a dollar quote"
    if not dialect and (piece[0] == "`" or piece == "["):
        return "holds a quote that only some databases know: name the dialect"
    if dialect == "postgres" and piece[0] == "`":
        return "holds a quote that PostgreSQL does not know"
    if dialect == "sqlite" and piece == "[" and re.match(r"\[[^\]'\"`]*\]", text[start:]) is None:
        return "holds a quote without an end"
    return ""


def _judged(plain: str, dialect: str, *, inspects: bool) -> str | None:
    from sqlglot import errors, exp

    try:
        reader, parser = _parser(dialect)
        tokens = reader.tokenize(plain)
        statements = parser(dialect=reader, steps=_STEPS_PER_TOKEN * (len(tokens) + 5)).parse(tokens, plain)
    except (errors.SqlglotError, _Beyond, RecursionError, ValueError, AttributeError, TypeError, KeyError, IndexError):
        return "not SQL that can be read with certainty"  # whatever the parser trips over is not understood
    present = [statement for statement in statements if statement is not None]
    if len(present) != 1:
        return "not one statement"
    root = present[0]
    if inspects and (type(root) is exp.Show or (type(root) is exp.Describe and isinstance(root.this, exp.Table))):
        return _first_problem(root, spared=root)
    if not isinstance(root, exp.Query | exp.Values):
        return "not a query: a statement of another kind"
    found = _first_problem(root)
    if found is None and dialect in ("", "postgres"):
        found = sql_columns.problem(root, _name_problem) or None
    if found is None and dialect in ("", "sqlite"):
        found = _table_problem(root)
    return found


def _first_problem(root: Any, spared: Any = None) -> str | None:
    from sqlglot import exp

    for node in root.walk():
        kind = type(node)
        if node is not spared and (kind.__module__ in _WRITES or kind.__name__ in _NEVER):
            return f"holds what does more than read ({kind.__name__})"
        if isinstance(node, exp.CTE) and not isinstance(node.this, exp.Query | exp.Values):
            return "holds a common table expression that is no query"
        if isinstance(node, exp.Func) and (problem := _function_problem(node)):
            return problem
    return None


def _function_problem(node: Any) -> str | None:
    from sqlglot import exp

    schema = _schema_of(node)
    if schema and schema not in _SYSTEM_SCHEMAS:
        return "calls a function of a schema, which anybody may have defined"
    return _name_problem(node.name) or None if isinstance(node, exp.Anonymous) else None


def _name_problem(written: str) -> str:
    """Why a function of this name may not be called; empty if it may."""
    from sqlglot import exp

    name = written.lower()
    known = exp.FUNCTION_BY_NAME.get(name.upper())
    if name in _READING or (known is not None and known.__name__ not in _NEVER):
        return ""
    shown = name if re.fullmatch(r"\w{1,64}", name) else "of an odd name"
    return f"calls a function that is not known to only read: {shown}"


def _table_problem(root: Any) -> str | None:
    """SQLite knows many of its functions as tables too: a pragma that does something, a file of its shell's."""
    from sqlglot import exp

    for table in root.find_all(exp.Table):
        name = table.name.lower()
        if name in _FILES_AS_TABLES or (name.startswith("pragma_") and name not in _READING | _TELLING):
            return f"reads from what is a function: {name[:64]}"
    return None


def _schema_of(node: Any) -> str:
    """The schema before a function's name; empty if it has none."""
    from sqlglot import exp

    above = node.parent
    if isinstance(above, exp.Dot) and above.expression is node:
        return str(above.this.name).lower() or "?"
    if isinstance(above, exp.Table) and above.this is node and above.args.get("db") is not None:
        return str(above.db).lower() or "?"
    return ""


@cache
def _parser(dialect: str) -> tuple[Dialect, Any]:
    """The reader of a dialect, and its parser that ends after a number of steps and never guesses."""
    from sqlglot.dialects import Dialect

    reader = Dialect.get_or_raise(dialect or None)
    base: Any = reader.parser_class

    class Counting(base):  # type: ignore[misc, unused-ignore]  # the class is known only now
        def __init__(self, *, steps: int, **options: Any) -> None:
            self._left = steps
            super().__init__(**options)

        def _advance(self, times: int = 1) -> None:
            self._left -= 1
            if self._left < 0:
                raise _Beyond
            super()._advance(times)

        def _warn_unsupported(self) -> None:
            raise _Beyond  # or it would log the text, and take it for a command

    return reader, Counting
