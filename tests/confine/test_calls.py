"""Calls that a confined server never gets (``confine.seccomp``), and those that it must go on getting."""

from __future__ import annotations

import errno
import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from tests.confine.conftest import World

from doorward.confine import seccomp

CANARY = r"""
import asyncio, ctypes, json, os, platform, socket, subprocess, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
X86 = platform.machine() == "x86_64"
def call(x86, arm, *arguments):
    number = x86 if X86 else arm
    if libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments)) < 0:
        raise OSError(ctypes.get_errno(), "refused")
def cloned():
    made = libc.syscall(*map(ctypes.c_long, (56 if X86 else 220, NEW_USER | 17, 0, 0, 0, 0)))
    if made == 0:
        os._exit(0)
    if made < 0:
        raise OSError(ctypes.get_errno(), "refused")
    os.waitpid(made, 0)
def family(number, kind=socket.SOCK_DGRAM, protocol=0):
    libc.socket.restype = ctypes.c_int
    made = libc.socket(number, kind, protocol)
    if made < 0:
        raise OSError(ctypes.get_errno(), "refused")
    os.close(made)
def pair(number, kind=socket.SOCK_STREAM):
    both = (ctypes.c_int * 2)()
    if libc.socketpair(number, kind, 0, both) < 0:
        raise OSError(ctypes.get_errno(), "refused")
def in_child(attempt):
    def tried():
        reading, writing = os.pipe()
        if os.fork() == 0:
            try:
                attempt()
            except OSError as error:
                os.write(writing, str(error.errno).encode())
            os._exit(0)
        os.close(writing)
        said = os.read(reading, 16)
        os.wait()
        if said:
            raise OSError(int(said), "refused")
    return tried
def looked_up():
    assert socket.getaddrinfo("localhost", 1)
async def shell():
    process = await asyncio.create_subprocess_exec("/bin/echo", "a", stdout=subprocess.PIPE)
    assert (await process.communicate())[0] == b"a\n"
def threads():
    done = []
    for one in [threading.Thread(target=done.append, args=(number,)) for number in range(4)]:
        one.start()
        one.join()
    assert len(done) == 4
def listened():
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
def shared_memory():
    made = libc.syscall(*map(ctypes.c_long, (29 if X86 else 194, 0, 4096, 0o600)))
    if made < 0:
        raise OSError(ctypes.get_errno(), "refused")
    call(31, 195, made, 0, 0)
NEW_USER, NEW_USER_AND_MOUNTS = 0x10000000, 0x10020000
ATTEMPTS = {
    "user namespace": in_child(lambda: call(272, 97, NEW_USER)),
    "user and mount namespace": in_child(lambda: call(272, 97, NEW_USER_AND_MOUNTS)),
    "user namespace, high bits set": in_child(lambda: call(272, 97, NEW_USER | 1 << 40)),
    "user namespace by clone": cloned,
    "clone3": lambda: call(435, 435, 0, 0),
    "io_uring": lambda: call(425, 425, 4, 0),
    "io_uring_enter": lambda: call(426, 426, 999, 0, 0, 0, 0, 0),
    "setns": lambda: call(308, 268, 999, 0),
    "userfaultfd": lambda: call(323, 282, 0),
    "perf_event_open": lambda: call(298, 241, 0, 0, -1, -1, 0),
    "open_by_handle_at": lambda: call(304, 265, -1, 0, 0),
    "kernel log": lambda: call(103, 116, 10, 0, 0),
    "host name": lambda: call(170, 161, 0, 0),
    "keyring": lambda: call(250, 219, 0, -1, 0),
    "raw packets": lambda: family(17, socket.SOCK_RAW),
    "vsock": lambda: family(40, socket.SOCK_STREAM),
    "kernel ciphers": lambda: family(38, socket.SOCK_SEQPACKET),
    "netlink audit": lambda: family(16, socket.SOCK_RAW, 9),
    "netlink uevents": lambda: family(16, socket.SOCK_RAW, 15),
    "pair of another family": lambda: pair(40),
    "netlink route": lambda: family(16, socket.SOCK_RAW, 0),
    "name": looked_up,
    "shared memory": shared_memory,
    "message queue": lambda: call(241, 181, ctypes.addressof(ctypes.create_string_buffer(b"none"))),
    "unix": lambda: socket.socket(socket.AF_UNIX).close(),
    "datagram pair": lambda: pair(1, socket.SOCK_DGRAM),
    "raw pair": lambda: pair(1, socket.SOCK_RAW),
    "pair of packets": lambda: pair(1, socket.SOCK_SEQPACKET),
    "pair": lambda: socket.socketpair(),
    "loopback": listened,
    "udp": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close(),
    "threads": threads,
    "program": lambda: subprocess.run(["/bin/true"], check=True),
    "asynchronous program": lambda: asyncio.run(shell()),
    "fork": in_child(lambda: None),
}
results = {}
for name, attempt in ATTEMPTS.items():
    try:
        attempt()
        results[name] = 0
    except OSError as error:
        results[name] = error.errno
print(json.dumps(results))
"""
NOT_PERMITTED = (
    *("user namespace", "user and mount namespace", "user namespace, high bits set", "user namespace by clone"),
    *("setns", "userfaultfd", "perf_event_open", "open_by_handle_at", "kernel log", "host name", "keyring"),
)
ABSENT = ("clone3", "io_uring", "io_uring_enter")
NO_FAMILY = (
    *("raw packets", "vsock", "kernel ciphers", "netlink audit", "netlink uevents", "netlink route"),
    *("pair of another family", "unix"),
)
INTERNET = ("loopback", "udp")
ALLOWED = ("name", "pair", "pair of packets", "threads", "program", "asynchronous program", "fork")


@pytest.fixture
def world(each_world: World) -> World:
    """All of this holds in both mechanisms."""
    return each_world


def results(world: World, *, unsafe_no_sandbox: bool) -> dict[str, int]:
    script = world.server / "canary.py"
    script.write_text(CANARY)
    status, out, err = world.run([sys.executable, str(script)], unsafe_no_sandbox=unsafe_no_sandbox)
    assert (status, err) == (0, "")
    found: dict[str, int] = json.loads(out)
    return found


def test_each_is_refused_with_the_error_that_libraries_understand(world: World) -> None:
    found = results(world, unsafe_no_sandbox=False)
    assert {name: found[name] for name in NOT_PERMITTED} == dict.fromkeys(NOT_PERMITTED, errno.EPERM)
    assert {name: found[name] for name in ABSENT} == dict.fromkeys(ABSENT, errno.ENOSYS)
    assert {name: found[name] for name in NO_FAMILY} == dict.fromkeys(NO_FAMILY, errno.EAFNOSUPPORT)
    # In its own network it may have any: nothing is there. In the machine's it gets none.
    internet = 0 if world.mechanism == "namespaces" else errno.EAFNOSUPPORT
    assert {name: found[name] for name in INTERNET} == dict.fromkeys(INTERNET, internet)
    # The same for objects of memory: its own, or those of its whole user.
    shared = (0, errno.ENOENT) if world.mechanism == "namespaces" else (errno.ENOSYS, errno.ENOSYS)
    assert (found["shared memory"], found["message queue"]) == shared
    assert {name: found[name] for name in ALLOWED} == dict.fromkeys(ALLOWED, 0)
    assert found["datagram pair"] == found["raw pair"] == errno.EPROTONOSUPPORT


def test_without_walls_the_kernel_says_something_else(world: World) -> None:
    """The proof that it is the filter that refuses: bare, none of these gives the filter's answer but by its own."""
    bare = results(world, unsafe_no_sandbox=True)
    assert bare["clone3"] == errno.EINVAL
    assert bare["io_uring_enter"] in (errno.EBADF, errno.EPERM)  # EPERM where the machine's owner turned it off
    assert bare["setns"] == errno.EBADF
    assert bare["open_by_handle_at"] != errno.EPERM or bare["user namespace"] == errno.EPERM
    assert bare["netlink uevents"] == 0
    assert bare["message queue"] == errno.ENOENT
    unfiltered = (*ALLOWED, *INTERNET, "shared memory", "unix", "datagram pair", "raw pair", "netlink route")
    assert {name: bare[name] for name in unfiltered} == dict.fromkeys(unfiltered, 0)


EMPTIES = r"""
import ctypes, json, os, platform, sys
from doorward.confine import landlock, privileges, seccomp
seen, kept, written = sys.argv[1] == "seen", *sys.argv[2:]
privileges.give_up_new()
seccomp.restrict(seccomp.ALL, truncation_is_seen=seen)
def openat2(path, flags):
    how = (ctypes.c_uint64 * 3)(flags, 0, 0)
    os.close(landlock.syscall(437, -100, path.encode(), ctypes.addressof(how), ctypes.sizeof(how)))
def opened(path, flags):
    os.close(os.open(path, flags, 0o600))
def old_open(path, flags):
    os.close(landlock.syscall(2, path.encode(), flags, 0o600))
tried = {
    "by name": lambda: os.truncate(kept, 0),
    "opened to be read": lambda: opened(kept, os.O_RDONLY | os.O_TRUNC),
    "made and opened to be read": lambda: opened(kept, os.O_RDONLY | os.O_TRUNC | os.O_CREAT),
    "opened for neither": lambda: opened(kept, os.O_ACCMODE | os.O_TRUNC),
    "by openat2": lambda: openat2(kept, os.O_RDONLY | os.O_TRUNC),
    "to be written": lambda: opened(written, os.O_WRONLY | os.O_TRUNC),
    "to be both": lambda: opened(written, os.O_RDWR | os.O_CREAT | os.O_TRUNC),
    "only read": lambda: opened(kept, os.O_RDONLY),
    "by its descriptor": lambda: os.ftruncate(os.open(written, os.O_WRONLY), 1),
}
if platform.machine() == "x86_64":
    tried["by the old open"] = lambda: old_open(kept, os.O_RDONLY | os.O_TRUNC)
said = {}
for name, attempt in tried.items():
    try:
        attempt()
        said[name] = 0
    except OSError as error:
        said[name] = error.errno
print(json.dumps(said))
"""
BY_NAME = {"by name", "opened to be read", "made and opened to be read", "opened for neither", "by the old open"}


@pytest.mark.parametrize("seen", ["seen", "not seen"])
def test_where_landlock_does_not_see_it_no_file_is_emptied_but_through_what_it_judged(
    tmp_path: Path, seen: str
) -> None:
    kept, written = tmp_path / "kept", tmp_path / "written"
    kept.write_text("kept")
    written.write_text("written")
    command = [sys.executable, "-c", EMPTIES, seen, str(kept), str(written)]
    said = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    refused = (
        dict.fromkeys(BY_NAME & {*said}, errno.EACCES) | {"by openat2": errno.ENOSYS} if seen == "not seen" else {}
    )
    assert said == dict.fromkeys(said, 0) | refused
    assert kept.read_text() == ("kept" if seen == "not seen" else "")
    assert written.read_text() == "\0"


@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize("internet", [seccomp.ALL, seccomp.TCP, seccomp.NONE])
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_jump_of_the_filter_lands_inside_it_and_every_way_ends(
    machine: str, internet: str, *, seen: bool
) -> None:
    program = seccomp.program(machine, internet, truncation_is_seen=seen)
    code = [program[at : at + 8] for at in range(0, len(program), 8)]
    assert code[-1] == struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000)
    for place, instruction in enumerate(code):
        operation, if_true, if_false = int.from_bytes(instruction[:2], sys.byteorder), instruction[2], instruction[3]
        if operation != 0x06:
            assert place + 1 + max(if_true, if_false) < len(code)


def test_a_machine_whose_numbers_are_not_known_is_refused() -> None:
    with pytest.raises(OSError, match="no seccomp numbers") as refused:
        seccomp.program("riscv64", seccomp.NONE)
    assert refused.value.errno == errno.ENOSYS
