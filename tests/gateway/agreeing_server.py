"""A server whose one tool takes anything and says yes."""

from __future__ import annotations

import json
import sys

for line in sys.stdin:
    asked = json.loads(line)
    method = asked["method"]
    if "id" not in asked:
        continue
    found: dict[str, object] = {"content": [{"type": "text", "text": "yes"}]}
    if method == "initialize":
        info = {"name": "agreeing", "version": "1"}
        version = asked["params"]["protocolVersion"]
        found = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}
    elif method == "tools/list":
        found = {"tools": [{"name": "do", "inputSchema": {"type": "object"}}]}
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": found}) + "\n")
    sys.stdout.flush()
