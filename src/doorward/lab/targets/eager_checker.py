"""A client's check of its arguments. Its mistake: any schema that a server lists is one to check with.

Start: ``python eager_checker.py SCHEMA ARGUMENTS``, both JSON. It ends with 0 where the arguments fit and with 1 where
they do not. Less than a second of the processor's time is all it may take, since it is our machine: honest schemas need
a tenth of that.
"""

from __future__ import annotations

import json
import resource
import sys


def main() -> None:
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

    used = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    resource.setrlimit(resource.RLIMIT_CPU, (int(used) + 1, resource.RLIM_INFINITY))
    schema, arguments = (json.loads(text) for text in sys.argv[1:3])
    sys.exit(0 if Draft202012Validator(schema).is_valid(arguments) else 1)


if __name__ == "__main__":
    main()
