"""Pure judgment. One control, one file: gates refuse on the envelope, rewrites edit and never refuse, checks refuse and
never edit. Each returns a finding or nothing; only ``vocabulary.decide`` decides.
"""
