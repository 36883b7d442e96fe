"""The HTTP door: requests in, answers and streams out, and everything about HTTP that must not reach the relay."""
