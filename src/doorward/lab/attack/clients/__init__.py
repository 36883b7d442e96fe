"""The attack on a client: the lab plays the server, and looks at what the client does with what it is told."""
