"""The decision machine: events in, commands out. No I/O, clock, randomness or logging."""
