"""``python -m doorward``."""

from doorward.cli.main import run

run()
