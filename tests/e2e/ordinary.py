"""Tool calls as models make them all day: code, prose of many languages, SQL, lines of shell, paths, addresses.

Nothing here means harm, and much of it looks like it to whoever judges by the look: quotes, semicolons, markup, `../`
in an import, `DROP TABLE` in a text about databases.
"""

from __future__ import annotations

import argparse
import inspect
import json
import random
import shlex
import string
import textwrap
from typing import Any

FOLDER = "/srv/project"

PROSE = [
    line
    for line in """
Please summarise the three most important points; keep it short & friendly.
It's about "quotes", 'apostrophes' and `back-ticks`: are they all preserved?
The price went from $3.50 to $4.20 (+20 %), i.e. more than we planned.
Note: rm -rf / is dangerous; never run it. SELECT * FROM users; DROP TABLE users; -- is a classic joke.
Passwords must be at least 12 characters long, and tokens expire after one hour.
See https://example.org/docs?page=2#install, or write to ada@example.org.
TODO: fix ../lib imports, see ./README.md and C:\\Users\\Ada\\notes.txt
<b>Bold</b> & <script>alert('x')</script> are shown as text in the preview.
{{ user.name }} is replaced by the template; ${HOME} is not.
1. first   2. second\n\n- a list\n- of things\n\n> a quotation
Die Größe des Gebäudes überschreitet die zulässige Höhe um 3 m; bitte prüfen.
L'été dernier, nous avons visité l'Élysée ; c'était « magnifique » !
¿Dónde está la biblioteca? ¡Qué pregunta tan fácil!
Привет, мир! Сколько стоит этот билет до Москвы?
東京都で会議を開きます。ご参加ください。
请把这份报告翻译成英文，并检查所有的数字。
오늘 회의는 세 시에 시작합니다.
مرحبا بالعالم، كيف حالك اليوم؟
שלום עולם, מה שלומך?
नमस्ते दुनिया, आज मौसम कैसा है?
สวัสดีชาวโลก วันนี้อากาศดี
Γειά σου Κόσμε, τι κάνεις σήμερα;
Zażółć gęślą jaźń — i co dalej?
👩‍💻 shipped it 🎉 — thanks, team! ❤️
The function f(x) = x^2 + 3x - 7 has a minimum at x = -1.5; the integral ∫f(x)dx is easy.
a < b && c > d || !e; if (x) { y(); }
""".splitlines()
    if line
]

CODE = (
    "def add(a: int, b: int) -> int:\n    return a + b\n",
    "import os, sys\nsys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))\n",
    "const fs = require('fs');\nfs.readFileSync('../data/input.json', 'utf8');\n",
    "#!/bin/sh\nset -eu\nfor f in *.txt; do\n  cat \"$f\" | grep -v '^#' >> out.log 2>&1 || true\ndone\n",
    "fn main() {\n    println!(\"{}\", vec![1, 2, 3].iter().map(|x| x * 2).sum::<i32>());\n}\n",
    "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Printf(\"%d\\n\", 42) }\n",
    "#include <stdio.h>\nint main(void) { printf(\"%s\\n\", \"hi\"); return 0; }\n",
    "SELECT name, count(*) FROM users WHERE active = 1 GROUP BY name; -- all of them\nDROP TABLE IF EXISTS old;\n",
    "<!DOCTYPE html>\n<html><head><script src='/app.js'></script></head><body onload=\"go()\">&nbsp;</body></html>\n",
    "services:\n  web:\n    image: nginx:1.27\n    ports: ['8080:80']\n    environment:\n      - DEBUG=1\n",
    "FROM python:3.12-slim\nRUN apt-get update && rm -rf /var/lib/apt/lists/*\nCMD [\"python\", \"-m\", \"app\"]\n",
    "{\"a\": [1, 2, {\"b\": null}], \"$ref\": \"#/definitions/x\", \"re\": \"^(a+)+$\"}\n",
    "[tool.ruff]\nline-length = 120\n\n[[cell]]\nname = \"x\"\n",
    "PATH=$PATH:/usr/local/bin\nexport LANG=en_US.UTF-8\nalias ll='ls -la'\n",
    "try {\n  await fetch(`${base}/api?x=${encodeURIComponent(y)}`);\n} catch (e) {\n  console.error(e);\n}\n",
    "diff --git a/x.py b/x.py\n--- a/x.py\n+++ b/x.py\n@@ -1,2 +1,2 @@\n-print('a')\n+print('b')\n",
    "Traceback (most recent call last):\n  File \"/app/main.py\", line 3, in <module>\nValueError: bad input\n",
    "os.environ['API_TOKEN']  # never write it here\nclient = Client(token=os.environ.get('TOKEN'))\n",
    "\\documentclass{article}\\begin{document}$\\sum_{i=0}^n i$\\end{document}\n",
    "^(?:[a-z0-9!#$%&'*+/=?^_`{|}~-]+)@(?:[a-z0-9-]+\\.)+[a-z]{2,}$",
)  # fmt: skip
SHELL = (
    "ls -la", "git status --short", "grep -rn 'TODO' src | head -20", "python -m pytest -q tests/unit",
    "find . -name '*.py' -not -path './.venv/*' | xargs wc -l", "npm run build && npm test", "docker compose up -d",
    "curl -sS https://example.org/health | jq .status", "sed -i 's/foo/bar/g' file.txt", "awk '{print $1}' access.log",
    "for i in 1 2 3; do echo $i; done", "make -j4", "cargo test -- --nocapture", "tar czf out.tar.gz src/ docs/",
    "echo \"$(date +%F) done\" >> log.txt", "psql -c 'select 1'", "kubectl get pods -n default -o wide",
)  # fmt: skip
FILES = (
    "README.md", "src/main.py", "src/app/components/Button.tsx", "docs/how-to/install.md", "tests/test_api.py",
    "package.json", ".gitignore", ".github/workflows/ci.yml", "data/2026/orders (final).csv", "notes/日本語.txt",
    "Makefile", "src/lib/utils.test.ts", "a b/c d.txt", "img/logo@2x.png", "config/prod.env.example", "x/y/z/deep.rs",
    "Größe.md", "v1.2/CHANGELOG.md", "src/__init__.py", "scripts/run-all.sh", "[id]/page.tsx", "100% done.txt",
)  # fmt: skip
URLS = (
    "https://example.org", "https://example.org/docs/index.html", "https://api.example.com/v1/users?page=2&sort=-name",
    "http://localhost:3000/health", "https://en.wikipedia.org/wiki/Caf%C3%A9_(disambiguation)",
    "https://github.com/psf/requests/blob/main/README.md#L10-L20", "https://example.org/search?q=a%20b&lang=de#top",
    "http://127.0.0.1:8080/metrics", "https://news.example.com/2026/11/26/some-title_of-it.html", "https://例え.jp/パス",
    "https://www.youtube.com/watch?v=dQw4w9WgXcQ", "https://example.com/@ada/posts/1", "HTTPS://EXAMPLE.ORG/A",
    "https://docs.python.org/3/library/re.html#re.Pattern.match", "https://example.org/a;b=c/d,e?f[]=1&f[]=2",
)  # fmt: skip
REVISIONS = (
    "main", "HEAD", "HEAD~3", "feature/login-form", "v1.2.3", "origin/main", "main..HEAD", "a1b2c3d", "release/2026.11",
    "fix/issue-42", "HEAD^", "HEAD@{1}", "stash@{0}", "dependabot/npm_and_yarn/x-1.0", "user/ada/wip", "main...other",
)  # fmt: skip
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Tokyo", "UTC", "Asia/Kolkata", "America/Argentina/Buenos_Aires")
TABLES = ("users", "orders", "order_items", "products", "public.events", "log_2026")
COLUMNS = ("id", "name", "email", "created_at", "price", "status", "user_id", "total")


def text(draw: random.Random) -> str:
    kind = draw.random()
    if kind < 0.5:
        return " ".join(draw.sample(PROSE, draw.randint(1, 4)))
    if kind < 0.8:
        return draw.choice(CODE)
    if kind < 0.9:
        return draw.choice(SHELL)
    return long_text(draw)


def long_text(draw: random.Random) -> str:
    source = inspect.getsource(draw.choice((argparse, inspect, json, shlex, string, textwrap, random)))
    start = draw.randrange(max(1, len(source) - 4_000))
    return source[start : start + draw.randint(500, 4_000)]


def words(draw: random.Random) -> str:
    return draw.choice(PROSE)[:120]


def path(draw: random.Random) -> str:
    return f"{FOLDER}/{draw.choice(FILES)}"


def query(draw: random.Random, dialect: str) -> str:
    table, other = draw.sample(TABLES, 2)
    a, b, c = draw.sample(COLUMNS, 3)
    month = "strftime('%Y-%m', created_at)" if dialect == "sqlite" else "to_char(created_at, 'YYYY-MM')"
    shapes = [
        f"SELECT * FROM {table} LIMIT {draw.randint(1, 500)}",
        f"SELECT {a}, {b}, count(*) AS n FROM {table} WHERE {c} IS NOT NULL GROUP BY {a}, {b} HAVING count(*) > 1;",
        f"SELECT t.{a}, o.{b} FROM {table} t LEFT JOIN {other} o ON o.id = t.{c} ORDER BY 1 DESC, 2",
        f"select distinct {a} from {table} where {b} like '%o''clock%' or {b} in ('x; y', '-- z', 'DROP TABLE')",
        f"WITH new AS (SELECT * FROM {table} WHERE created_at > '2026-01-01') SELECT {a}, max({b}) FROM new GROUP BY 1",
        f"SELECT {month} AS month, sum(total), round(avg(price), 2) FROM {table} GROUP BY 1 ORDER BY 1",
        f"SELECT coalesce({a}, 'n/a'), CASE WHEN {b} > 10 THEN 'x' ELSE 'y' END FROM {table} -- why\nWHERE {c} <> 0",
        f"SELECT {a}, row_number() OVER (PARTITION BY {b} ORDER BY {c}) AS r FROM {table}",
        f"SELECT count(*) FROM (SELECT {a} FROM {table} UNION SELECT {b} FROM {other}) x",
        f"/* totals */ SELECT upper({a}) || ' ' || lower({b}) AS full_name FROM {table} WHERE {c} BETWEEN 1 AND 5",
        f"EXPLAIN SELECT * FROM {table} WHERE {a} = 1",
        f"SELECT {a} FROM {table} WHERE EXISTS (SELECT 1 FROM {other} WHERE {other}.{b} = {table}.{c})",
    ]
    own = {
        "sqlite": [
            "SELECT name FROM sqlite_master WHERE type = 'table'",
            "SELECT json_extract(data, '$.a.b'), typeof(x), datetime('now', '-1 day') FROM t",
            "SELECT group_concat(name, ', '), total(price), julianday('now') - julianday(created_at) FROM [my orders]",
            "SELECT * FROM pragma_table_info('users')",
        ],
        "postgres": [
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'",
            "SELECT data->>'name', data #> '{a,b}', tags[1], created_at::date, now() - interval '7 days' FROM events",
            "SELECT date_trunc('week', at), percentile_cont(0.5) WITHIN GROUP (ORDER BY price) FROM orders GROUP BY 1",
            "SELECT string_agg(DISTINCT name, ',' ORDER BY name), array_agg(id) FROM users GROUP BY status",
            "SELECT pg_size_pretty(pg_total_relation_size('users')), current_setting('server_version')",
            "SELECT * FROM generate_series('2026-01-01'::date, '2026-02-01', '1 day') d WHERE name ILIKE 'a%'",
        ],
    }
    return draw.choice(shapes + own[dialect] * 2)


def statement(draw: random.Random) -> str:
    return draw.choice(
        (
            "INSERT INTO users (name, email) VALUES ('Ada', 'ada@example.org'), ('O''Brien', NULL)",
            "UPDATE products SET price = price * 1.1 WHERE id IN (1, 2, 3)",
            "DELETE FROM log_2026 WHERE created_at < '2026-06-01'",
        )
    )


def by_schema(draw: random.Random, schema: dict[str, Any]) -> Any:
    """A value of no particular meaning that the schema allows."""
    if "enum" in schema:
        return draw.choice(schema["enum"])
    if "const" in schema:
        return schema["const"]
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return by_schema(draw, draw.choice(schema[word]))
    kind = schema.get("type", "string")
    kind = draw.choice(kind) if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties", {})
        needed = schema.get("required", [])
        return {n: by_schema(draw, s) for n, s in properties.items() if n in needed or draw.random() < 0.5}
    if kind == "array":
        return [
            by_schema(draw, schema.get("items", {})) for _ in range(max(schema.get("minItems", 0), draw.randint(1, 3)))
        ]
    if schema.get("format") == "uri":
        return draw.choice(URLS[:3])
    if kind in ("integer", "number"):
        least = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
        most = schema.get("maximum", schema.get("exclusiveMaximum", least + 1_000) - 1)
        return draw.randint(int(least), int(max(least, min(most, least + 1_000))))
    return {"boolean": draw.random() < 0.5, "null": None}.get(kind, words(draw))
