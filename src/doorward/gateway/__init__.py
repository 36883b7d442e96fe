"""The doors: everything that touches a process, a socket, a file or a clock on behalf of the relay."""
