"""Who says that something belongs to a program, and whether that may widen its walls.

``installation`` finds most of a program by hearsay: links, path files, settings of environments, first lines of
scripts. Whoever could have written such a thing would decide what its server is shown:

- *the server itself*, where it may write: what it left at its last run leads to nothing outside of that folder;
- *a package that was fetched*: its files name nothing outside either;
- *a repository*: what it holds leads to nothing outside of its own project (the checkout or package in which the link
  or file lies), but for the parts of an interpreter that it cannot start without, since every environment names one.
  What is left out so is said, and whoever made that link themselves names the folder with ``--read``.

Does not protect: a project without any mark of one, in which a link or file has an ordinary name; a link that the
operator names by a whole path is theirs; and which interpreter's library is shown, a repository does choose.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping

from doorward.confine.installation import PACKAGE_MARKS, PROJECT_MARKS, Found, has_any, upwards
from doorward.confine.paths import is_below, links_on_the_way

_CHECKOUT_MARKS = (".git", ".hg", ".jj", ".svn")
_OF_A_PROJECT = ("node_modules", ".venv", "venv")
_MOST_LEFT_OUT = 8


def sift(
    found: Iterable[Found], written: Iterable[str], fetched: str, too_wide: Callable[[str], bool], given: Iterable[str]
) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """What is shown of what was ``found``, and what is left out since only a project names it: what names it, its path.

    The server may write ``written``, and what was fetched lies in ``fetched``; ``given`` is shown in any case. Of what
    is not ``too_wide`` a folder may be a project.
    """
    kept, left_out, written = list[str](), dict[str, str](), tuple(written)
    for one in found:
        if _could_be_planted(one, written) or _was_told(one.path, (one.named_by,) if one.told else (), (fetched,)):
            continue
        if not one.narrow and _could_be_planted(one, _projects(one, too_wide)):
            left_out.setdefault(one.path, one.named_by if one.told or one.named_by != one.path else one.through[-1])
        else:
            kept.append(one.path)
    return tuple(kept), _worth_saying(left_out, (*given, *kept))


def leads_out(path: str, real: str, untrusted: Iterable[str]) -> str:
    """The first link along ``path`` that lies in an untrusted folder and takes the way out of it; empty if none."""
    outside = [place for place in untrusted if not is_below(real, place)]
    for link in links_on_the_way(path) if outside else ():
        if any(link != place and is_below(link, place) for place in outside):
            return link
    return ""


def outermost(paths: Iterable[str]) -> tuple[str, ...]:
    """Without those that lie below another: fewer rules, and a profile that people can read."""
    kept: list[str] = []
    for path in dict.fromkeys(paths):
        if not any(is_below(path, other) for other in kept):
            kept = [other for other in kept if not is_below(other, path)] + [path]
    return tuple(kept)


def _could_be_planted(one: Found, written: Iterable[str]) -> bool:
    """Whether the server itself could have made us find this outside of what it may write."""
    outside = [place for place in written if not is_below(one.path, place)]
    if _was_told(one.path, (*((one.named_by,) if one.told else ()), *one.through), outside):
        return True
    return any(leads_out(path, one.path, outside) for path in (one.named_by, *one.through))


def _was_told(path: str, by: Iterable[str], places: Iterable[str]) -> bool:
    """Whether a file in one of ``places`` said that ``path``, which lies outside of it, belongs to the program."""
    outside = [place for place in places if not is_below(path, place)]
    return any(is_below(os.path.realpath(file), place) for file in by for place in outside)


def _projects(one: Found, too_wide: Callable[[str], bool]) -> tuple[str, ...]:
    """The projects to which whatever led to ``one`` belongs."""
    links = (link for path in (one.named_by, *one.through) for link in links_on_the_way(path))
    files = (os.path.realpath(path) for path in (*((one.named_by,) if one.told else ()), *one.through))
    found = (_project_of(place, too_wide) for place in (*links, *files))
    return tuple(dict.fromkeys(place for place in found if place))


def _project_of(link: str, too_wide: Callable[[str], bool]) -> str:
    """The folder whose content somebody put together, and a link or file in it with it; empty where it is in none.

    The nearest checkout, else the nearest package; of a link that is called as what belongs to a project, at least the
    folder that it lies in.
    """
    own = os.path.dirname(link) if os.path.basename(link) in _OF_A_PROJECT else ""
    for marks in (_CHECKOUT_MARKS, (*PACKAGE_MARKS, *PROJECT_MARKS)):
        for place in upwards(os.path.dirname(link)):
            if has_any(place, marks) and not too_wide(place):
                return place
    return own


def _worth_saying(left_out: Mapping[str, str], shown: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Without what is shown for another reason, or of which the narrow parts are: an interpreter does with them."""
    folders = [place for place in shown if os.path.isdir(place)]
    hidden = {
        path: named_by
        for path, named_by in left_out.items()
        if not any(is_below(path, place) or is_below(place, path) for place in folders)
    }
    return tuple((hidden[path], path) for path in outermost(hidden))[:_MOST_LEFT_OUT]
