"""A program that stands for systemd on a bus of its own: it owns the name and speaks the part of the interface we use.

usage: systemd.py ADDRESS

Units: ``web.service`` runs, and is called ``www.service`` as well; of ``odd.service`` it says what nobody can read;
``bad.service`` cannot be started; ``slow.service`` never gets done, but another client of the bus says so. Anything
else is not there. Writes ``ready``, then every call that changes something, a line each.
"""

from __future__ import annotations

import sys
from typing import Any

from jeepney import DBusAddress, MessageType, new_error, new_method_return, new_signal
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import open_dbus_connection
from jeepney.low_level import HeaderFields

BUS, PATH, MANAGER = "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"
ALIASES = {"www.service": "web.service"}
ACTIVE = {"web.service": "active", "bad.service": "inactive", "slow.service": "inactive"}


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Systemd:
    def __init__(self, connection: Any, other: Any) -> None:
        self.connection = connection
        self.other = other
        self.jobs = 0

    def serve(self) -> None:
        while True:
            message = self.connection.receive()
            if message.header.message_type == MessageType.method_call:
                self.answer(message, message.header.fields[HeaderFields.member], message.body)

    def answer(self, message: Any, member: str, body: Any) -> None:
        if member == "LoadUnit":
            self.reply(message, "o", f"{PATH}/unit/{body[0].replace('.', '_2e')}")
        elif member == "GetAll":
            self.properties(message, message.header.fields[HeaderFields.path].rpartition("/")[2].replace("_2e", "."))
        elif member == "Subscribe":
            self.connection.send(new_method_return(message))
        elif ALIASES.get(body[0], body[0]) not in ACTIVE:
            self.connection.send(new_error(message, f"{BUS}.NoSuchUnit", "s", (f"Unit {body[0]} not found.",)))
        else:
            self.job(message, member, *body)

    def properties(self, message: Any, unit: str) -> None:
        if unit == "odd.service":
            self.reply(message, "s", "well")
            return
        states = {
            "LoadState": "loaded" if unit in ACTIVE else "not-found",
            "ActiveState": ACTIVE.get(unit, "inactive"),
            "SubState": "running" if ACTIVE.get(unit) == "active" else "dead",
            "Description": f"The unit {unit}",
        }
        self.reply(message, "a{sv}", {name: ("s", value) for name, value in states.items()})

    def job(self, message: Any, member: str, unit: str, mode: str) -> None:
        say(f"{member} {unit} {mode}")
        unit = ALIASES.get(unit, unit)
        self.jobs += 1
        job = f"{PATH}/job/{self.jobs}"
        # The signal of another job of the unit comes first, and ours before the answer that names it.
        if unit != "slow.service":
            self.removed(f"{PATH}/job/0", unit, "canceled")
            self.removed(job, unit, "failed" if unit == "bad.service" and member != "StopUnit" else "done")
            ACTIVE[unit] = "inactive" if member == "StopUnit" else "active"
        self.reply(message, "o", job)
        if unit == "slow.service":
            forged = self.signal(job, unit, "done")
            forged.header.fields[HeaderFields.destination] = message.header.fields[HeaderFields.sender]
            self.other.send(forged)

    def removed(self, job: str, unit: str, result: str) -> None:
        self.connection.send(self.signal(job, unit, result))

    def signal(self, job: str, unit: str, result: str) -> Any:
        return new_signal(DBusAddress(PATH, interface=MANAGER), "JobRemoved", "uoss", (1, job, unit, result))

    def reply(self, message: Any, signature: str, value: Any) -> None:
        self.connection.send(new_method_return(message, signature, (value,)))


def main(address: str) -> None:
    connection = open_dbus_connection(address)
    connection.send_and_get_reply(message_bus.RequestName(BUS))
    say("ready")
    Systemd(connection, open_dbus_connection(address)).serve()


if __name__ == "__main__":
    main(sys.argv[1])
