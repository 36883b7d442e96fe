"""Asking a person: the channel between a running gateway and `doorward consent` in another terminal.

``channel`` is the gateway's end, ``attendance`` the person's, ``display`` turns a ticket into everything that it says.
"""
