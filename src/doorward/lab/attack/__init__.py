"""``doorward attack``: the lab's attacks on a server that somebody owns and that the lab has never seen.

Nothing here knows a server. ``surface`` asks the target what it offers, ``slots`` finds where a string goes in,
``families`` build probes from that, ``plant`` puts secrets where no answer may bring them from, ``play`` sends the
probes between two honest calls, ``verdicts`` says what that shows, ``run`` does it bare and behind Doorward.
"""
