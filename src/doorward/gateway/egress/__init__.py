"""The way out of a server that Doorward starts: a proxy for public addresses, and relays to what the operator named."""
