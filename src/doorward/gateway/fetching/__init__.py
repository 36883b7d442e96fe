"""Packages that a launcher such as ``npx`` or ``uvx`` would fetch: fetched in a step of its own, known before they run.

``asked`` reads the command line, ``npm`` and ``pypi`` know the two package managers, ``settings`` what the operator set
for them, ``fetch`` does it once and keeps what came.
"""
