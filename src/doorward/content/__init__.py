"""What text and arguments contain: pure functions over values, without I/O, clock or randomness.

Nothing here decides. ``judge`` turns what these functions report into findings, ``gateway`` masks what it writes, the
consent screens show what ``text`` made visible. Everything is linear in the size of its input.
"""
