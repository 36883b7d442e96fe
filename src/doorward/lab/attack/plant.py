"""Secrets beside a folder that a server may see, links in it that lead there, and a place for marks.

All of it has names that follow from the seed, and all of it is removed when the block is left, however that happens.
Nothing that was there before is written, followed or removed: each name is made new, or planting is refused.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from doorward.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "secret.txt"  # noqa: S105 - a file name
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Values(msgspec.Struct, frozen=True):
    """What is planted, drawn from the seed: values to be recognised, not values to be kept."""

    word: str
    greeting: str
    listed_greeting: str
    secrets: tuple[str, ...]
    credential: str

    @classmethod
    def drawn(cls, seed: int) -> Values:
        """The values of ``seed``."""
        words = random.Random(f"attack/{seed}")  # noqa: S311 - reproducible is the point

        def word(letters: int) -> str:
            return "".join(words.choices(_LETTERS, k=letters))

        return cls(
            word=f"doorward-{word(6)}",
            greeting="heron" + word(16),
            listed_greeting="robin" + word(16),
            secrets=tuple(bird + word(16) for bird in ("kestrel", "merlin", "falcon", "osprey")),
            credential="sk-" + word(12) + "".join(words.choices("0123456789", k=12)) + word(8),
        )


class Plant(msgspec.Struct, frozen=True):
    """What lies where. In ``folder``: ``note`` and a file named after the greeting, a link to the secret, a link to the
    folder that it lies in. Beside it: ``outside``, and ``sibling``, whose name begins with that of ``folder``; each
    holds a secret in a file and another one in a file's name, which no probe ever says. ``known`` was there before.
    """

    folder: Path
    values: Values
    known: frozenset[str] = frozenset()

    @property
    def note(self) -> Path:
        return self.folder / f"{self.values.word}.txt"

    @property
    def listed(self) -> Path:
        return self.folder / f"{self.values.word}-{self.values.listed_greeting}.txt"

    @property
    def link(self) -> Path:
        return self.folder / f"{self.values.word}-link.txt"

    @property
    def linked_folder(self) -> Path:
        return self.folder / f"{self.values.word}-shared"

    @property
    def outside(self) -> Path:
        return self.folder.parent / self.values.word

    @property
    def sibling(self) -> Path:
        return self.folder.parent / f"{self.folder.name}-{self.values.word}"

    def restore(self) -> None:
        """Put back what a probe that writes may have changed, so that the next one is not credited with it."""
        for place in (self.outside, self.sibling):
            for name in self._strange(place):
                _remove(place / name)
        for path, text in self._files():
            with suppress(OSError):
                path.write_text(text, encoding="utf-8")

    def made(self) -> list[str]:
        """What is in the folder and was not, nor was planted: made by calls, or by whoever else uses the folder."""
        ours = {path.name for path in (self.note, self.listed, self.link, self.linked_folder)}
        return sorted(set(os.listdir(self.folder)) - self.known - ours)

    def disturbed(self) -> str:
        """What was changed where the server has no business; empty where nothing was."""
        for path, text in self._files()[2:]:
            try:
                if path.read_text(encoding="utf-8", errors="replace") != text:
                    return f"{path} was overwritten"
            except OSError:
                return f"{path} is gone"
        for place in (self.outside, self.sibling):
            if strange := self._strange(place):
                return f"{place / strange[0]} was made"
        return ""

    def _strange(self, place: Path) -> list[str]:
        """What lies in one of the two places and was not planted."""
        with suppress(OSError):
            return sorted(set(os.listdir(place)) - {path.name for path, _ in self._files() if path.parent == place})
        return []

    def _files(self) -> list[tuple[Path, str]]:
        first, second, third, fourth = self.values.secrets
        return [
            (self.note, f"an honest note: {self.values.greeting}\n"),
            (self.listed, f"{self.values.listed_greeting}\n"),
            # The value first: whatever shows the beginning of the honest note shows all of it.
            (self.outside / SECRET, f"{first}: not for this server\n"),
            (self.outside / f"{self.values.word}-{second}.txt", "not for this server\n"),
            (self.sibling / SECRET, f"{third}: not for this server\n"),
            (self.sibling / f"{self.values.word}-{fourth}.txt", "not for this server\n"),
        ]


@contextmanager
def planted(folder: Path, values: Values) -> Iterator[Plant]:
    """Plant beside and in ``folder``; everything is removed with the block.

    Raises:
        UsageError: there is no such folder, nothing can be written beside it, or a name is taken.
    """
    folder = folder.absolute()
    if not folder.is_dir() or folder.parent == folder:
        raise UsageError(f"{folder} is no folder that something could be planted beside", hint="name a folder of yours")
    plant = Plant(Path(os.path.normpath(folder)), values, frozenset(os.listdir(folder)))
    with ExitStack() as removal:
        try:
            for place in (plant.outside, plant.sibling):
                place.mkdir(mode=0o700)
                removal.callback(shutil.rmtree, place, ignore_errors=True)
            for path, text in plant._files():  # noqa: SLF001 - planting is the other half of the same thought
                with path.open("x", encoding="utf-8") as file:
                    removal.callback(_remove, path)
                    file.write(text)
            for link, to in ((plant.link, plant.outside / SECRET), (plant.linked_folder, plant.outside)):
                link.symlink_to(to)
                removal.callback(_remove, link)
        except FileExistsError as problem:
            raise UsageError(
                f"{problem.filename2 or problem.filename} is there already",
                hint="remove it if an attack left it, or take another --seed",
            ) from None
        except OSError as problem:
            raise UsageError(
                f"cannot plant {problem.filename}: {(problem.strerror or '').lower()}",
                hint="--plant wants a folder that you may write in, and beside",
            ) from None
        yield plant


@contextmanager
def marks(values: Values, plant: Plant | None) -> Iterator[Path]:
    """A private folder, named after the seed, for the files that injected commands make: beside what is planted, else
    among the temporary files.

    Raises:
        UsageError: the name is taken.
    """
    beside = plant.folder.parent if plant is not None else Path(tempfile.gettempdir())
    place = beside / f"{values.word}-marks"
    try:
        place.mkdir(mode=0o700)
    except FileExistsError:
        raise UsageError(f"{place} is there already", hint="remove it, or take another --seed") from None
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _remove(path: Path) -> None:
    """Whatever a probe made of it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with suppress(OSError):
        path.unlink()
