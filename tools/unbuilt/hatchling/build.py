"""A build backend that builds nothing: what pip asks when it has fetched a source distribution.

``pip download`` has no way to leave a source distribution alone: it asks the backend that the package names for the
package's metadata, and that backend may run whatever it was told to, with requirements that no lock holds. With this
folder first on ``PYTHONPATH`` and without build isolation, the backend is this one. It repeats the name and the version
that the package says of itself, so nothing that came in the package is run. See ``$(STAMPS)/fixture`` in the Makefile.
"""

from __future__ import annotations

from email.parser import HeaderParser
from pathlib import Path


def prepare_metadata_for_build_wheel(
    metadata_directory: str, _config_settings: dict[str, str | list[str]] | None = None
) -> str:
    """The least that pip takes for metadata (PEP 517), from ``PKG-INFO`` in the working directory."""
    told = HeaderParser().parsestr(Path("PKG-INFO").read_text(encoding="utf-8"))
    name, version = told["Name"], told["Version"]
    folder = Path(metadata_directory) / f"{name}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    return folder.name
