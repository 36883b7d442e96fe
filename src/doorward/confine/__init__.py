"""The operating system's walls around a server, and the supervision of its processes.

``profile`` says what a server may touch, ``process`` starts it inside that, ``launch`` and ``supervise`` are the small
program between the two, ``landlock`` is the wall itself, ``probe`` tells what holds on this machine, ``paths`` answers
where a path really leads. This module imports nothing: the launcher's start-up is on the way of every server.
"""
