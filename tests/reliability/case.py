"""One hostile input: the files of it, and what is handed in."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

DOORS = ("patch", "scene", "page")
"""`read_patch`, `open_scene` with one read, and the page's upload."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """A mutated input.

    Attributes:
        kind: what was done to it, as the table names it.
        seed: what it was made of.
        files: content by name below the folder of the case.
        hand: names of what is handed in; "." is the folder itself.
        address: handed in as it stands instead, though it is no file.
        grown: bytes that the first file handed in has on paper; it is sparse.
        doors: through which it goes.
    """

    kind: str
    seed: str
    files: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
    hand: tuple[str, ...] = ()
    address: str | None = None
    grown: int = 0
    doors: tuple[str, ...] = DOORS

    def write(self, folder: Path) -> list[str]:
        """Write the files into a folder; gives the paths to hand in."""
        folder.mkdir(parents=True)
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if self.address is not None:
            return [self.address]
        if self.grown:
            with (folder / self.hand[0]).open("r+b") as file:
                file.truncate(self.grown)
        return [str(folder if name == "." else folder / name) for name in self.hand]


def single(kind: str, seed: str, name: str, content: bytes, **more: object) -> Case:
    """A case of one file."""
    return Case(kind=kind, seed=seed, files={name: content}, hand=(name,), **more)
