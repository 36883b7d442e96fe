"""Rewrites: they change what is sent, before judgment, and never refuse. Each is idempotent."""
