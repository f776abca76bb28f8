"""What the command of a scene job says, as the page may say it: no paths, no command-line options.

Knows the sentences of `python -m ldsr scene` and what the page offers in their place.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

_QUOTED = re.compile(r"(['\"])/[^'\"]*?([^'\"/]*)/*\1")
_PATH = re.compile(r"(?:/[^\s/'\"]+)+/([^\s/'\"]*)")
_OPTION = re.compile(r"(?<![\w-])--(?=[a-z])|\bpython -m ")
_OFFERED = (
    (r"(?:with )?--resume --with-gaps|(?:with )?--with-gaps", 'with "Finish with gaps"'),
    (r"--resume goes on", '"Go on" goes on'),
    (r"go on with --resume", 'press "Go on"'),
    (r"(?:with )?--resume", 'with "Go on"'),
    (r"ask for the same again, or delete (?:the|that) folder", "delete that folder"),
    (r"delete (?:the|that) folder(?: \S+)? and start anew", "discard this job and begin anew"),
    (r"choose another --out, or a", "or choose a"),
    (r"choose another --out", "ask whoever runs this server"),
    (r"leave out --detail, or --no-refine", "leave that layer out, or switch Refine on"),
    (r"--semantics ", ""),
)
"""What the page has for an option, in the order in which they are looked for."""
INSTEAD = "discard this job and begin one with other choices"
"""Advice in place of one that only a command line can follow."""
MOST = 600


def plain(text: str, folders: Sequence[Path] = ()) -> str:
    """Write a command's sentence for the page: one line, without paths, with the page's own advice.

    Args:
        text: as the command said it.
        folders: known ones of this server, which may have blanks in their names.
    """
    line = " ".join(text.split())
    known = {str(form) for folder in folders for form in (folder, folder.resolve())}
    for folder in sorted(known - {"/"}, key=len, reverse=True):
        line = re.sub(rf"{re.escape(folder)}(/|(?![\w.-]))", _last(folder), line)
    line = _PATH.sub(r"\1", _QUOTED.sub(r"\1\2\1", line))
    return _advice(line)[:MOST]


def _last(folder: str) -> Callable[[re.Match[str]], str]:
    """Cut a folder away before what lies in it, else down to its own name."""
    return lambda found: "" if found[1] else Path(folder).name


def _advice(line: str) -> str:
    """Put what the page offers in the place of options, and drop advice that it has nothing for."""
    for option, offered in _OFFERED:
        line = re.sub(option, offered, line)
    if not _OPTION.search(line):
        return line
    found, *advice = line.split("; ")
    kept = [clause for clause in advice if not _OPTION.search(clause)]
    if len(kept) < len(advice) or not advice:
        kept.append(INSTEAD)
    return "; ".join([_OPTION.sub("", found).rstrip("."), *kept]).rstrip(".") + "."
