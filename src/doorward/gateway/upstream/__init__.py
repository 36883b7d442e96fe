"""Connectors: how a link reaches its server. Each speaks one transport and knows nothing of judgment."""
