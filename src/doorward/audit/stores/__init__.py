"""Where logs lie. ``sqlite`` is the embedded default; ``directory`` is what it shares with its neighbours in STATE."""
