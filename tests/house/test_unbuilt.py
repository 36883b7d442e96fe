"""Fetching a source distribution runs nothing that came in it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
BACKEND = ROOT / "tools" / "unbuilt"

PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "tiny"
version = "1.0"

[tool.hatch.build.hooks.custom]
[tool.hatch.metadata.hooks.custom]
"""


def archive(folder: Path, marker: Path) -> None:
    """A source distribution whose build would leave a marker."""
    files = {
        "pyproject.toml": PYPROJECT,
        "hatch_build.py": f"open({str(marker)!r}, 'w').close()\nraise SystemExit\n",
        "PKG-INFO": "Metadata-Version: 2.4\nName: tiny\nVersion: 1.0\nSummary: none\n\nWords.\n",
    }
    with tarfile.open(folder / "tiny-1.0.tar.gz", "w:gz") as packed:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"tiny-1.0/{name}")
            entry.size = len(text.encode())
            packed.addfile(entry, io.BytesIO(text.encode()))


def download(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    index, marker = tmp_path / "index", tmp_path / "marker"
    index.mkdir()
    archive(index, marker)
    pip = (sys.executable, "-m", "pip", "download", "--no-index", "--no-deps", "--no-build-isolation")
    return subprocess.run(
        (*pip, "--find-links", str(index), "--no-cache-dir", "--dest", str(tmp_path / "got"), "tiny==1.0"),
        env=os.environ | environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_our_backend_gets_the_archive_and_runs_nothing_of_it(tmp_path: Path) -> None:
    done = download(tmp_path, PYTHONPATH=str(BACKEND))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "got" / "tiny-1.0.tar.gz").is_file()
    assert not (tmp_path / "marker").exists()


def test_the_packages_own_backend_would_have_run_it(tmp_path: Path) -> None:
    download(tmp_path)
    assert (tmp_path / "marker").exists()
