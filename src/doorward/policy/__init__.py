"""What the operator wants: one policy file, one lock file, two profiles. This room knows no message and no socket."""
