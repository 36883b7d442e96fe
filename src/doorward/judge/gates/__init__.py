"""Gates: cheap refusals on the envelope of a message, before anything in it is interpreted."""
