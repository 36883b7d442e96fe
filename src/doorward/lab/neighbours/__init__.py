"""Attacks next to those of the document: one run for each line of the last section of docs/threats.md.

They are light: crafted bytes against few targets, and all runs against one target share its stage. ``catalogue`` lists
them, ``lines`` says of each line of the document by which run it is played, or why it is not.
"""
