"""The command line: one file per verb, `doorward.cli.main` in front, `doorward.cli.terminal` for every word printed."""
