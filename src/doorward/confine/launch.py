"""The launcher: the small program between the gateway and a server, run as ``python -I -S launch.py``.

It reads its plan from descriptor 3, forks, and the child turns itself into the server inside its walls; the parent
stays as its supervisor (``supervise``). It never runs anything of the server before the walls stand. The environment
and the arguments of the server come with the plan: its own command line, which everybody may read, says nothing.

``no_new_privs`` comes first of the walls: from then on no program gives the server more than it was started with, by
a set-user-ID bit or by capabilities of its file (``sudo`` gains nothing), and Landlock and seccomp may be armed by
whoever has it. It alone stands before what root may do beyond opening files, since Landlock sees no ``chmod`` and no
``chown``. Does not protect: what the server was started with. One that root starts is root, with all
capabilities but the one that lifts its caps (``caps``).

Descriptors: 0, 1, 2 are the server's; 3 brings the plan, then orders, and its end means that the gateway is gone;
4 takes reports. Everything else that was inherited is closed.

The plan is a length (eight bytes, big endian) and records ``kind:value``, each ended by NUL, which no path, argument
or variable can contain. No JSON and no package imports: they would double the start-up of every server.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from doorward.confine import caps, landlock, seccomp
else:
    sys.path.append(os.path.dirname(os.path.abspath(__file__)))  # -I leaves it out; last, so it can shadow nothing
    import caps
    import landlock
    import seccomp

PLAN_FD, REPORT_FD = 3, 4
_SIGKILL, _SIGPIPE, _SIGXFSZ = 9, 13, 25

Plan = dict[bytes, list[bytes]]


def main() -> None:
    """Start the server of the plan and stay until nothing of it is left."""
    _close_inherited()
    os.set_inheritable(PLAN_FD, False)
    os.set_inheritable(REPORT_FD, False)
    plan = _read_plan()
    landlock.prctl(landlock.PR_SET_CHILD_SUBREAPER, 1)
    # A process that may not be dumped cannot be traced nor its memory read by others of the same user.
    landlock.prctl(landlock.PR_SET_DUMPABLE, 0)
    outcome, exec_outcome = os.pipe()
    supervisor = os.getpid()
    child = os.fork()
    if child == 0:
        _become_server(plan, exec_outcome, supervisor)
    os.close(exec_outcome)
    # The rule for its own /proc entry hangs on this inode: held, it cannot be replaced while the server lives.
    os.open(f"/proc/{child}", os.O_PATH | os.O_CLOEXEC)
    _let_go_of_standard_streams()
    _supervise(plan, child, outcome)


def _supervise(plan: Plan, server: int, outcome: int) -> NoReturn:
    if TYPE_CHECKING:
        from doorward.confine import supervise
    else:
        import supervise  # only now, while the server boots: signal costs four milliseconds

    abi = landlock.detect_abi() if plan[b"confined"] == [b"1"] else 0
    supervisor = supervise.Supervisor(server, outcome=outcome, orders=PLAN_FD, report=REPORT_FD, abi=abi)
    # Only now: before, this signal would have ended us without ending the tree. Descriptor 3 tells us anyway.
    landlock.prctl(landlock.PR_SET_PDEATHSIG, supervise.END_SIGNAL)
    supervisor.run(plan[b"temp"][0])
    os._exit(0)  # nothing to tidy up, and the gateway waits for the end of our reports


def _become_server(plan: Plan, outcome: int, supervisor: int) -> NoReturn:
    stage = "session"
    try:
        os.setsid()
        landlock.prctl(landlock.PR_SET_PDEATHSIG, _SIGKILL)
        if os.getppid() != supervisor:
            os._exit(1)
        stage = "folder"
        os.chdir(plan[b"cwd"][0])
        os.umask(int(plan[b"umask"][0], 8))
        stage = "caps"
        caps.restrict(*(int(plan[kind][0]) for kind in (b"memory", b"file", b"descriptors")))
        stage = "landlock"
        if plan[b"confined"] == [b"1"]:
            landlock.prctl(landlock.PR_SET_NO_NEW_PRIVS, 1)
            landlock.restrict([*plan.get(b"read", ()), f"/proc/{os.getpid()}"], plan.get(b"write", ()))
            stage = "seccomp"
            seccomp.restrict()
        stage = "program"
        for ignored_by_python in (_SIGPIPE, _SIGXFSZ):
            landlock.default_signal(ignored_by_python)
        variables = (record.partition(b"=") for record in plan.get(b"env", ()))
        environment = {name: value for name, _, value in variables}
        os.execve(plan[b"program"][0], plan[b"argument"], environment)  # noqa: S606 - a list, no shell
    except Exception as error:  # noqa: BLE001 - whatever it was: said, and nothing was executed
        os.write(outcome, f"{stage} {getattr(error, 'errno', None) or 0}".encode())
    finally:
        os._exit(127)


def _close_inherited() -> None:
    # By name: one that was opened before the limit was lowered lies above it, where closing a range would not reach.
    for name in os.listdir("/proc/self/fd"):
        if int(name) > REPORT_FD:
            try:  # noqa: SIM105 - contextlib would cost three milliseconds
                os.close(int(name))
            except OSError:
                pass  # the listing's own


def _read_plan() -> Plan:
    size = int.from_bytes(_read_exactly(8), "big")
    plan: Plan = {}
    for record in _read_exactly(size).split(b"\0")[:-1]:
        kind, _, value = record.partition(b":")
        plan.setdefault(kind, []).append(value)
    return plan


def _read_exactly(size: int) -> bytes:
    received = b""
    while len(received) < size:
        piece = os.read(PLAN_FD, min(size - len(received), 1 << 20))
        if not piece:
            os._exit(1)  # the gateway died while it wrote; nothing runs yet
        received += piece
    return received


def _let_go_of_standard_streams() -> None:
    # Held here, the server's pipes would never come to their end.
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream, inheritable=False)
    os.close(nothing)
    os.chdir("/")


if __name__ == "__main__":
    main()
