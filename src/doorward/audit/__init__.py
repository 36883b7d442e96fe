"""The archive: what happened, in an order and with a content that cannot be changed unseen.

``entry`` says what is recorded, ``merkle`` and ``checkpoint`` how it is bound, ``stores`` where it lies, ``reader`` how
it is found again, and ``verify`` whether it is still what was signed. Nothing is imported here: each process loads only
the part that it needs.
"""
