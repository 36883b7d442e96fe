"""Filters: what of a list reaches whoever asked for it. They see each item as what it offers, remove what could not be
used anyway, and change nothing in the rest.
"""
