"""What the lab found, for people: ``matrix`` for terminals, ``page`` for browsers. Both show rows, neither decides."""
