"""``python -m doorward`` is the command ``doorward``."""

from doorward.cli.main import run

run()
