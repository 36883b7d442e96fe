"""The lab: attacks that are played for real, so that nobody has to take our word.

A scenario is played against a naive target, then against the same target behind Doorward, as shipped and configured.
What may be called prevented is said in ``docs/threats.md``, "How a scenario is judged"; ``runner`` is that page as
code. The lab starts real processes, speaks through real pipes and looks only for harm that it planted the means to see.
"""
