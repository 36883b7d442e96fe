"""Checks: they judge an action and refuse or ask, and never edit."""
