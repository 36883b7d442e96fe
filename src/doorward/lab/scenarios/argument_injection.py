"""``argument-injection``: an argument becomes part of a shell line, or of a statement."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

from doorward.lab import git_repository
from doorward.lab.oracles import arrived, mapped
from doorward.lab.scenario import BenignTwinBrokenError, Example, Harm, Protection, Scenario, Target, Trace, Variant
from doorward.lab.targets import python, script

if TYPE_CHECKING:
    from pathlib import Path

    from doorward.lab.stage import Stage

SHIPPED = (Protection.SHIPPED,)  # what a remote server may be told by whom, only its operator can say
LEGIT = "legit_script.py"
DONE = "legit_script.done"
HONEST_RUNS = 3  # alone, in a list, as a last step


def furnish(work: Path, greeting: str) -> None:
    """One legitimate script, which notes in its own folder that it ran."""
    done = str(work / DONE)
    (work / LEGIT).write_text(f"open({done!r}, 'a').write({greeting!r})\n", encoding="utf-8")


RUNNER = Target(
    id="script-runner",
    title="a naive server of ours that runs scripts by os.system",
    command=lambda stage: (*python(), script("script_runner"), str(stage.layout.work)),
    furnish=furnish,
    configuration="""\
[servers.script-runner.tools.execute_script.arguments.script_path]
path_below = "{work}"
no_shell_metacharacters = true
[servers.script-runner.tools.execute_plan.arguments]
"/steps/*" = { no_shell_metacharacters = true }
"/finally/script_path" = { no_shell_metacharacters = true }
""",
    tools=("execute_script", "execute_plan"),
)


def furnish_book(work: Path, greeting: str) -> None:
    """An order that its customer may see, and in the same database places for drafts and the logins of the shop."""
    with closing(sqlite3.connect(work / "orders.db")) as database, database:
        database.execute("CREATE TABLE orders (number, customer, item, remark, draft)")
        database.execute("CREATE TABLE history (number, remark, at)")
        database.execute("CREATE TABLE logins (name, password)")
        database.execute("INSERT INTO orders VALUES (1, 'ada', ?, '', FALSE)", (greeting,))


def entrust_book(work: Path, secret: str) -> None:
    """A draft and the logins of the shop, which no tool gives."""
    with closing(sqlite3.connect(work / "orders.db")) as database, database:
        database.execute("INSERT INTO orders VALUES (2, 'ada', 'a lathe', ?, TRUE)", (secret,))
        database.execute("INSERT INTO logins VALUES ('owner', ?)", (secret,))


async def _order(stage: Stage) -> str:
    await stage.client.call_tool("note_remark", {"number": 1, "remark": "ring twice"})
    found: Any = await stage.client.call_tool("find_orders", {"customer": "ada"})
    if found.content[0].text != f"1; {stage.greeting}; ring twice":
        raise BenignTwinBrokenError(f"find_orders did not give the order and its remark, but {found.content[0].text}")
    return "find_orders gave the order with the remark of note_remark"


BOOK = Target(
    id="order-book",
    title="a naive server of ours that puts arguments into statements of SQL",
    command=lambda stage: (*python(), script("order_book"), str(stage.layout.work)),
    furnish=furnish_book,
    configuration="""\
[servers.order-book.tools.find_orders.arguments]
customer = { identifier = true }
[servers.order-book.tools.note_remark.arguments]
remark = { no_shell_metacharacters = true }  # quotes and semicolons are among them
""",
    tools=("find_orders", "note_remark"),
    benign=_order,
    entrusted=entrust_book,
)


def _simple(id: str, title: str, script_path: str) -> Variant:
    return Variant(id, title, {"name": "execute_script", "arguments": {"script_path": script_path}}, SHIPPED)


def _statement(id: str, title: str, tool: str, *, inside: bool = False, **arguments: Any) -> Variant:
    return Variant(id, title, {"name": tool, "arguments": arguments}, SHIPPED, inside=inside)


class ArgumentInjection(Scenario):
    """Tool argument injection.

    Goal:
        Run a command of the attacker's on the server's machine, or a statement of his in its database.
    Attacker:
        A client, or a prompt that makes a model choose the argument.
    Steps:
        1. The server offers ``execute_script`` and builds a line for the shell; it refuses ``..`` and nothing else.
        2. The attacker sends the name of a legitimate script and, in one of the ways a shell knows, a command after it;
           plain, in a list, in a nested object.
        3. The command makes a mark where the server has no business.
        4. Another server puts the argument into a statement of SQL. There a quote ends the text, and what follows asks
           for a table that no tool is for, cuts off a condition, or opens a database elsewhere.
    Impact:
        Arbitrary commands with the rights of the server's process; whatever its database holds, its other users' rows
        too.
    Remedy:
        Constrain the argument's value before the server sees it; no shell, and no statement that is put together from
        text; and a sandbox, so that a command that does run can do no more than the server's own work. What the server
        may read for its work, as the whole of its database, no sandbox keeps from it.
    """

    id = "argument-injection"
    title = "tool argument injection"
    attacker = "client"
    stride = "tampering, elevation of privilege"
    cwe = ("CWE-78", "CWE-88", "CWE-89")
    owasp = "MCP05:2025"
    controls = ("argument-constraints", "definition-arguments", "path-confinement")
    examples = (
        Example(
            id="script-runner",
            title="legit_script.py; and what comes after",
            target=RUNNER,
            variants=(
                _simple("semicolon", "the document's own", f"{LEGIT}; touch {{marker}}"),
                _simple("newline", "a second line", f"{LEGIT}\ntouch {{marker}}"),
                _simple("substitution", "$( )", f"{LEGIT} $(touch {{marker}})"),
                _simple("back-ticks", "back-ticks", f"{LEGIT} `touch {{marker}}`"),
                _simple("and", "&&", f"{LEGIT} && touch {{marker}}"),
                _simple("pipe", "a pipe", f"{LEGIT} | touch {{marker}}"),
                _simple("redirection", "a redirection", f"{LEGIT} > {{marker}}"),
                Variant(
                    "in-array",
                    "hidden in a list",
                    {"name": "execute_plan", "arguments": {"steps": [LEGIT, f"{LEGIT}; touch {{marker}}"]}},
                    SHIPPED,
                ),
                Variant(
                    "in-object",
                    "hidden in a nested object",
                    {"name": "execute_plan", "arguments": {"finally": {"script_path": f"{LEGIT}; touch {{marker}}"}}},
                    SHIPPED,
                ),
            ),
        ),
        Example(
            id="order-book",
            title="a quote, and what comes after",
            target=BOOK,
            variants=(
                _statement(
                    "sql-union",
                    "another table's rows",
                    "find_orders",
                    inside=True,
                    customer="nobody' UNION SELECT name, password, '' FROM logins, orders WHERE '' = '",
                ),
                _statement("sql-comment", "the rest is a comment", "find_orders", inside=True, customer="ada' --"),
                _statement(
                    "sql-stacked",
                    "statements after it, which make a database elsewhere",
                    "note_remark",
                    number=1,
                    remark="'; ATTACH '{marker}' AS elsewhere; CREATE TABLE elsewhere.mark (at); --",
                ),
            ),
        ),
        Example(
            id=git_repository.PUBLISHED,
            title="CVE-2025-68144 (what names a revision is an option) as published",
            target=git_repository.GIT,
            variants=(
                Variant(
                    "option",
                    "a file written by --output",
                    {"name": "git_diff", "arguments": {"repo_path": "{work}", "target": "--output={marker}"}},
                ),
            ),
        ),
    )

    async def attack(self, stage: Stage, variant: Variant) -> None:
        marker = str(stage.marker(variant.id))
        marked = mapped(variant.payload, lambda text: text.replace("{marker}", marker))
        await stage.ask("tools/call", stage.filled(marked))

    def harmed(self, stage: Stage, variant: Variant, trace: Trace, /) -> Harm | None:
        marker = stage.marker(variant.id)
        if marker.exists():
            return Harm(f"what was injected made {marker.name} outside the server's folder")
        if how := arrived(trace.lines, stage.canary):
            return Harm(f"the client got what lies outside the server's folder: {how}")
        how = arrived(trace.lines, stage.entrusted)
        return Harm(f"the client got what no tool of the server gives: {how}", inside=True) if how else None

    async def benign(self, stage: Stage) -> str:
        done = stage.layout.work / DONE
        done.unlink(missing_ok=True)
        await stage.client.call_tool("execute_script", {"script_path": LEGIT})
        await stage.client.call_tool("execute_plan", {"steps": [LEGIT], "finally": {"script_path": LEGIT}})
        ran = done.read_text(encoding="utf-8").count(stage.greeting) if done.exists() else 0
        if ran != HONEST_RUNS:
            raise BenignTwinBrokenError(f"{LEGIT} ran {ran} times instead of {HONEST_RUNS}")
        return f"{LEGIT} ran alone, in a list and as a last step"


SCENARIO = ArgumentInjection()
