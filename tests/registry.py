"""A registry on loopback, for npm and for PyPI: packages that a test makes, and a count of who asked for what.

npm: the packument and the tarball (registry API). PyPI: the simple index in HTML with hashes (PEP 503) and the files.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from doorward.lab.targets.published import Installed, find, find_node

_PEERS = Path(__file__).parent / "peers"

# Paths come to both servers in hexadecimal digits: what is tried is what the walls do, not what judges arguments.
NODE_SERVER = r"""#!/usr/bin/env node
const fs = require("fs");
const tools = {
  version: () => require("./package.json").version,
  read: (path) => fs.readFileSync(path, "utf8"),
  write: (path) => (fs.writeFileSync(path, "written"), "written"),
  where: () => __dirname,
  arguments: () => process.argv.slice(2).join(" "),
};
require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const asked = JSON.parse(line);
  const answer = (result) => console.log(JSON.stringify({ jsonrpc: "2.0", id: asked.id, result }));
  if (asked.method === "initialize")
    answer({ protocolVersion: "2025-11-25", capabilities: { tools: {} }, serverInfo: { name: "made", version: "1" } });
  else if (asked.method === "tools/list")
    answer({ tools: Object.keys(tools).map((name) => ({ name, inputSchema: { type: "object" } })) });
  else if (asked.method === "tools/call") {
    let text;
    const path = Buffer.from(asked.params.arguments.spelt ?? "", "hex").toString();
    try { text = tools[asked.params.name](path); } catch (error) { text = error.code; }
    answer({ content: [{ type: "text", text: String(text) }] });
  }
});
"""

PYTHON_SERVER = r"""
import errno, json, os, pathlib, sys
from importlib import metadata

TOOLS = {
    "version": lambda path: metadata.version("made-server"),
    "read": lambda path: pathlib.Path(path).read_text(),
    "write": lambda path: pathlib.Path(path).write_text("written") and "written",
    "where": lambda path: os.path.dirname(os.path.abspath(__file__)),
    "arguments": lambda path: " ".join(sys.argv[1:]),
}

def main():
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["method"] == "initialize":
            info = {"name": "made", "version": "1"}
            result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": info}
        elif asked["method"] == "tools/list":
            result = {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]}
        elif asked["method"] == "tools/call":
            path = bytes.fromhex(asked["params"]["arguments"].get("spelt", "")).decode()
            try:
                text = TOOLS[asked["params"]["name"]](path)
            except OSError as error:
                text = errno.errorcode[error.errno]
            result = {"content": [{"type": "text", "text": text}]}
        else:
            continue
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
"""

_BACKEND = r"""
import base64, hashlib, os, pathlib, zipfile
pathlib.Path("ran.txt").write_text("built")
try:
    pathlib.Path({marker!r}).write_text("built")
except OSError:
    pass
exec({build!r})

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    path = os.path.join(wheel_directory, {name!r})
    pathlib.Path(path).write_bytes(base64.b64decode({wheel!r}))
    return {name!r}
"""


class _Listening(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a client may leave in the middle of an answer that it does not need."""


class Registry:
    """Listens while it is entered; ``asked`` are the paths of all requests."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.token = ""
        self._files: dict[str, bytes] = {}
        self._packages: dict[str, dict[str, dict[str, Any]]] = {}
        self._archives: dict[str, list[str]] = {}

    def __enter__(self) -> Self:
        registry = self

        class Answering(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                registry.asked.append(self.path)
                proven = not registry.token or registry.token in self.headers.get("Authorization", "")
                body = registry.body(self.path.partition("?")[0]) if proven else None
                self.send_response(200 if body is not None else 404 if proven else 401)
                kind = "text/html" if self.path.startswith("/simple") else "application/json"
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body or b"")

            def log_message(self, *_words: object) -> None:
                """Nothing: stderr is pytest's."""

        self._server = _Listening(("127.0.0.1", 0), Answering)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Nobody answers any more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def env(self) -> dict[str, str]:
        """The operator's settings that lead here."""
        once = {"npm_config_fetch_retries": "0", "UV_HTTP_RETRIES": "0"}
        return {"npm_config_registry": f"{self.url}/", "UV_DEFAULT_INDEX": f"{self.url}/simple/", **once}

    def body(self, path: str) -> bytes | None:
        if path.startswith("/simple/"):
            name = path.removeprefix("/simple/").strip("/")
            links = [self._link(file) for file in self._archives.get(name, ())]
            return f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode() if links else None
        versions = self._packages.get(path.removeprefix("/").replace("%2f", "/").replace("%2F", "/"))
        if versions is None:
            return self._files.get(path)
        described = {
            version: {**said, "dist": {**said["dist"], "tarball": self.url + said["dist"]["tarball"]}}
            for version, said in versions.items()
        }
        latest = {"latest": list(versions)[-1]}
        return json.dumps(
            {"name": next(iter(versions.values()))["name"], "dist-tags": latest, "versions": described}
        ).encode()

    def stock_npm(self, root: Path) -> None:
        """Publish again what is installed below ``root``, each package as it lies there."""
        for described in sorted(root.rglob("package.json")):
            package = described.parent
            inside = "node_modules" in (package.parent.name, package.parent.parent.name)
            said = json.loads(described.read_bytes()) if inside else {}
            name = said.get("name", "")
            if "version" in said and str(package).endswith(f"/node_modules/{name}"):
                files = [path for path in package.rglob("*") if path.is_file()]
                own = [path for path in files if "node_modules" not in path.relative_to(package).parts]
                contents = {str(path.relative_to(package)): path.read_bytes() for path in own}
                self._add_npm(name, said["version"], said, contents)

    def stock_pypi(self, environment: Path) -> None:
        """Publish again what is installed in a virtual environment, each distribution as a wheel."""
        for info in sorted(environment.glob("lib/python3*/site-packages/*.dist-info")):
            if not info.name.startswith(("pip-", "setuptools-")):
                self._add(*_wheel_of(info))

    def npm(self, name: str, version: str, program: str = NODE_SERVER, **said: Any) -> None:
        """Publish a package with one program; again under the same version, and it has other content."""
        described = {"name": name, "version": version, "bin": {name.rpartition("/")[2]: "server.js"}, **said}
        files = {"package.json": json.dumps(described).encode(), "server.js": program.encode()}
        self._add_npm(name, version, described, files)

    def _add_npm(self, name: str, version: str, described: dict[str, Any], files: dict[str, bytes]) -> None:
        content = io.BytesIO()
        with (
            gzip.GzipFile(fileobj=content, mode="wb", mtime=0, compresslevel=1) as packed,
            tarfile.open(fileobj=packed, mode="w") as tar,
        ):
            for file, data in files.items():
                info = tarfile.TarInfo(f"package/{file}")
                info.size, info.mode = len(data), 0o755
                tar.addfile(info, io.BytesIO(data))
        path = f"/{name}/-/{name.rpartition('/')[2]}-{version}.tgz"
        self._files[path] = content.getvalue()
        digest = base64.b64encode(hashlib.sha512(content.getvalue()).digest()).decode()
        dist = {"tarball": path, "integrity": f"sha512-{digest}"}
        installs = {"hasInstallScript": True} if "postinstall" in described.get("scripts", {}) else {}
        self._packages.setdefault(name, {})[version] = {**described, **installs, "dist": dist}

    def wheel(
        self, name: str, version: str, module: str = PYTHON_SERVER, needs: str = "", more: dict[str, str] | None = None
    ) -> None:
        """The same for PyPI: a wheel with one module and a program of the package's name, and ``more`` files."""
        file, content = _wheel(name, version, module, needs, more)
        self._add(name, file, content)

    def source(self, name: str, version: str, marker: Path, module: str = PYTHON_SERVER, build: str = "") -> None:
        """A source distribution whose build writes ``marker`` and does ``build``, and brings the program."""
        file, wheel = _wheel(name, version, module)
        project = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        project += f'[project]\nname = "{name}"\nversion = "{version}"\n'
        backend = _BACKEND.format(marker=str(marker), name=file, wheel=base64.b64encode(wheel).decode(), build=build)
        top = f"{name.replace('-', '_')}-{version}"
        files = {"pyproject.toml": project, "backend.py": backend, "PKG-INFO": _metadata(name, version)}
        content = io.BytesIO()
        with (
            gzip.GzipFile(fileobj=content, mode="wb", mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w") as tar,
        ):
            for path, text in files.items():
                info = tarfile.TarInfo(f"{top}/{path}")
                info.size = len(text.encode())
                tar.addfile(info, io.BytesIO(text.encode()))
        self._add(name, f"{top}.tar.gz", content.getvalue())

    def git(self, name: str, files: dict[str, str], folder: Path) -> str:
        """A git repository that is made in ``folder`` and cloned from here; what a package says that depends on it."""
        place = folder / name
        place.mkdir()
        for file, text in files.items():
            (place / file).write_text(text)
            (place / file).chmod(0o755)
        told = ("git", "-C", str(place), "-c", "user.name=made", "-c", "user.email=made@example.invalid")
        for words in ("init -q -b main", "add -A", "commit -q -m made", "update-server-info"):
            subprocess.run([*told, *words.split()], check=True)
        stored = place / ".git"
        for path in filter(Path.is_file, stored.rglob("*")):
            self._files[f"/{name}.git/{path.relative_to(stored)}"] = path.read_bytes()
        return f"git+{self.url}/{name}.git"

    def _add(self, name: str, file: str, content: bytes) -> None:
        self._files[f"/files/{file}"] = content
        archives = self._archives.setdefault(name, [])
        if file not in archives:
            archives.append(file)

    def _link(self, file: str) -> str:
        digest = hashlib.sha256(self._files[f"/files/{file}"]).hexdigest()
        return f'<a href="{self.url}/files/{file}#sha256={digest}">{file}</a><br>'


def programs(folder: Path) -> str:
    """An installation with node, npm, npx, uv and uvx, and the search path that finds them first of all."""
    node, uv = find_node(), find("uv", locks=_PEERS)
    assert node is not None, "node is not installed: run `make setup`"
    assert isinstance(uv, Installed), "uv is not installed: run `make setup`"
    place = folder / "bin"
    place.mkdir(parents=True)
    shutil.copy2(node, place / "node")
    library = node.parent.parent / "lib" / "node_modules" / "npm"
    shutil.copytree(library, folder / "lib" / "node_modules" / "npm", symlinks=True)
    for name in ("npm", "npx"):
        (place / name).symlink_to(f"../lib/node_modules/npm/bin/{name}-cli.js")
    for name in ("uv", "uvx"):
        shutil.copy2(Path(uv.argv[0]).with_name(name), place / name)
    python = Path(sys.executable).resolve().parent  # what the peers were installed with, so that their wheels fit
    return f"{place}:{python}:/usr/local/bin:/usr/bin:/bin"


def _metadata(name: str, version: str, needs: str = "") -> str:
    said = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    return f"{said}Requires-Dist: {needs}\n" if needs else said


def _wheel(
    name: str, version: str, module: str, needs: str = "", more: dict[str, str] | None = None
) -> tuple[str, bytes]:
    plain = name.replace("-", "_")
    info = f"{plain}-{version}.dist-info"
    files = {
        **(more or {}),
        f"{plain}.py": module,
        f"{info}/METADATA": _metadata(name, version, needs),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {plain}:main\n",
    }
    record = "".join(f"{path},{_hash(text.encode())},{len(text.encode())}\n" for path, text in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return f"{plain}-{version}-py3-none-any.whl", content.getvalue()


def _wheel_of(info: Path) -> tuple[str, str, bytes]:
    """What was installed by the distribution of a ``dist-info``, packed again: its name, the file's and the content."""
    said = (info / "METADATA").read_text()
    name, version = (re.search(rf"^{field}: *(\S+)", said, re.MULTILINE) for field in ("Name", "Version"))
    assert name is not None
    assert version is not None
    tags = [tag.split("-") for tag in re.findall(r"^Tag: *(\S+)", (info / "WHEEL").read_text(), re.MULTILINE)]
    tag = "-".join(".".join(dict.fromkeys(part)) for part in zip(*tags, strict=True))
    made = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json")
    content, record = io.BytesIO(), ""
    with zipfile.ZipFile(content, "w") as archive:
        for path in (line.partition(",")[0] for line in (info / "RECORD").read_text().splitlines()):
            place = info.parent / path
            is_made = path.startswith(("../", "/", '"')) or path.endswith(".pyc") or place.name in made
            if not is_made and place.is_file():
                data = place.read_bytes()
                record += f"{path},{_hash(data)},{len(data)}\n"
                archive.writestr(zipfile.ZipInfo(path), data)
        archive.writestr(zipfile.ZipInfo(f"{info.name}/RECORD"), f"{record}{info.name}/RECORD,,\n")
    plain = re.sub(r"[-_.]+", "-", name[1]).lower()
    return plain, f"{plain.replace('-', '_')}-{version[1]}-{tag}.whl", content.getvalue()


def _hash(data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
    return f"sha256={digest}"
