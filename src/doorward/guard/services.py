"""Starting and stopping the services of this machine over D-Bus: no ``sudo``, no ``systemctl``, no shell.

A tool that "manages services" needs to tell systemd one of four words and the name of a unit. This says exactly that
over the bus, for the units and words that you listed; whether your user may is systemd's to say (polkit).

Source: org.freedesktop.systemd1(5).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from doorward.errors import RefusedError

RULE: Final = "service"
TIMEOUT_SECONDS: Final = 25.0
"""What D-Bus itself gives an answer; a unit that takes longer to start goes on without us."""

ACTIONS: Final = ("status", "start", "stop", "restart")
_UNIT: Final = re.compile(r"[A-Za-z0-9:_.\\@\-]{1,200}\.(?:service|socket|timer|target|path|mount)")
_CALLS: Final = {"start": "StartUnit", "stop": "StopUnit", "restart": "RestartUnit"}
_BUS: Final = "org.freedesktop.systemd1"
_PATH: Final = "/org/freedesktop/systemd1"
_MANAGER: Final = f"{_BUS}.Manager"
_WHY: Final = {
    "org.freedesktop.DBus.Error.AccessDenied": "this server may not do that to the unit",
    "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired": "this server may not do that to the unit",
    f"{_BUS}.NoSuchUnit": "there is no such unit",
    f"{_BUS}.LoadFailed": "the unit cannot be loaded",
    f"{_BUS}.UnitMasked": "the unit is masked",
    f"{_BUS}.OnlyByDependency": "the unit is started and stopped by others only",
}


class Status(NamedTuple):
    """What systemd says of a unit, in its own words: ``loaded``, ``active``, ``running``; and its description."""

    load: str
    active: str
    sub: str
    description: str


class ServiceControl:
    """A few words to systemd about a few units: ``ServiceControl({"nginx.service": ["status", "restart"]})``.

    Units are named exactly, with their suffix, each with the words allowed: ``status``, ``start``, ``stop``,
    ``restart``. ``bus`` is the system's (default), ``"SESSION"`` for the user's own units, or an address. Each call
    opens a connection of its own, so that threads need not share one, and blocks for at most ``timeout_seconds``: an
    async tool calls it in a worker thread.

    Needs ``doorward[services]``. Raises ValueError at once for a unit or word that cannot be; RefusedError (rule
    ``service``) for a unit or word that you did not list, when systemd or polkit refuses, when a job fails or is not
    done in time, and when the bus cannot be reached. Nobody is asked for a password.

    Does not protect against what a listed unit does when it starts, nor decide who of your callers may: that is
    yours, or the gateway's policy. To let an unprivileged user do this, give it a polkit rule for these units alone;
    one for all units would let it start anything as root.
    """

    def __init__(
        self,
        units: Mapping[str, Collection[str]],
        *,
        bus: str = "SYSTEM",
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        try:
            import jeepney  # noqa: F401 - whether it is there is known before it is needed
        except ImportError:
            raise ImportError(
                "guard.ServiceControl needs the extra 'services': pip install 'doorward[services]'"
            ) from None
        for unit, words in units.items():
            if _UNIT.fullmatch(unit) is None or "@." in unit:
                raise ValueError(f"not the full name of a unit, as nginx.service: {unit}")
            if isinstance(words, str) or not set(words) <= set(ACTIONS):
                raise ValueError(f"of {unit} can be allowed: {', '.join(ACTIONS)}")
        self._units = {unit: frozenset(words) for unit, words in units.items()}
        self._bus = bus
        self._timeout_seconds = timeout_seconds

    def status(self, unit: str) -> Status:
        """What systemd says of the unit now. It does not say whether the service works."""
        self._allow(unit, "status")
        with self._connected() as bus:
            (path,) = bus.call(_PATH, _MANAGER, "LoadUnit", "s", (unit,))
            (found,) = bus.call(path, "org.freedesktop.DBus.Properties", "GetAll", "s", (f"{_BUS}.Unit",))
        if not isinstance(found, dict):
            raise RefusedError(RULE, "the service manager answered what nobody can read")
        said = {name: str(value) for name, (_, value) in found.items()}
        if said.get("LoadState") == "not-found":
            raise RefusedError(RULE, _WHY[f"{_BUS}.NoSuchUnit"])
        return Status(*(said.get(name, "") for name in ("LoadState", "ActiveState", "SubState", "Description")))

    def start(self, unit: str) -> None:
        """Start the unit, and wait until systemd is done with that; a unit that runs already is left alone."""
        self._do("start", unit)

    def stop(self, unit: str) -> None:
        """Stop the unit, and wait until systemd is done with that."""
        self._do("stop", unit)

    def restart(self, unit: str) -> None:
        """Stop and start the unit, and wait until systemd is done with that."""
        self._do("restart", unit)

    def _do(self, action: str, unit: str) -> None:
        self._allow(unit, action)
        with self._connected() as bus, bus.jobs() as ended:
            bus.call(_PATH, _MANAGER, "Subscribe")
            (job,) = bus.call(_PATH, _MANAGER, _CALLS[action], "ss", (unit, "replace"))
            result = ended(job)
        if result not in ("done", "skipped"):
            raise RefusedError(RULE, f"the unit did not {action}: {result}")

    def _allow(self, unit: str, action: str) -> None:
        if action not in self._units.get(unit, ()):
            raise RefusedError(RULE, f"{action} is not allowed for a unit of that name")

    @contextmanager
    def _connected(self) -> Iterator[_Bus]:
        from jeepney import DBusErrorResponse

        deadline = time.monotonic() + self._timeout_seconds
        try:
            with _opened(self._bus, deadline) as connection:
                yield _Bus(connection, deadline)
        except TimeoutError:
            raise RefusedError(RULE, "the service manager did not answer in time") from None
        except (OSError, EOFError, KeyError, ValueError, DBusErrorResponse) as error:
            raise RefusedError(RULE, "the service manager cannot be reached", hint=str(error)) from None


def _opened(bus: str, deadline: float) -> Any:
    """A connection that was greeted before ``deadline``: jeepney itself would wait for that for ever."""
    from jeepney.bus import get_bus
    from jeepney.io.blocking import DBusConnection, prep_socket

    class Greeted(DBusConnection):  # type: ignore[misc] # jeepney has no types
        def send_and_get_reply(self, message: Any, *, timeout: float | None = None) -> Any:
            return super().send_and_get_reply(message, timeout=_left(deadline) if timeout is None else timeout)

    socket = prep_socket(get_bus(bus), timeout=_left(deadline))
    try:
        return Greeted(socket)
    except BaseException:
        socket.close()
        raise


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class _Bus:
    """One connection, until one moment."""

    def __init__(self, connection: Any, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline

    def call(self, path: str, interface: str, member: str, signature: str = "", body: tuple[str, ...] = ()) -> Any:
        """The body of the answer. Interactive authorization is not allowed: nobody sits in front of a server."""
        from jeepney import DBusAddress, MessageType, new_method_call
        from jeepney.low_level import HeaderFields

        asked = new_method_call(DBusAddress(path, _BUS, interface), member, signature or None, body)
        answer = self._connection.send_and_get_reply(asked, timeout=self._left())
        if answer.header.message_type == MessageType.error:
            name = answer.header.fields.get(HeaderFields.error_name, "")
            raise RefusedError(RULE, _WHY.get(name, "the service manager refused"), hint=name)
        return answer.body

    @contextmanager
    def jobs(self) -> Iterator[Callable[[str], str]]:
        """Listen, before a job is asked for, to how jobs end; gives what waits for one and tells how. Jobs of all units
        are heard: systemd names one by the unit's own name, and may have been asked by another.
        """
        from collections import deque

        from jeepney import MatchRule, message_bus

        rule = MatchRule(type="signal", sender=_BUS, interface=_MANAGER, member="JobRemoved", path=_PATH)
        self._connection.send_and_get_reply(message_bus.AddMatch(rule), timeout=self._left())
        owner = self._connection.send_and_get_reply(message_bus.GetNameOwner(_BUS), timeout=self._left())
        heard: deque[Any] = deque()
        # Anybody on the bus may send us a signal, but not in the name of who owns systemd's.
        local = MatchRule(type="signal", sender=owner.body[0], interface=_MANAGER, member="JobRemoved", path=_PATH)
        with self._connection.filter(local, queue=heard):

            def ended(job: str) -> str:
                while True:
                    signal = self._connection.recv_until_filtered(heard, timeout=self._left())
                    if signal.body[1] == job:
                        return str(signal.body[3])

            yield ended

    def _left(self) -> float:
        return _left(self._deadline)
