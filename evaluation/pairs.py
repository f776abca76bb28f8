"""Inputs with a true picture beside them, from wherever they come; what does not fit is refused.

Knows files and places; does not know how a reference is registered or scored.
"""

import dataclasses
import hashlib
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rasterio.transform import Affine

from evaluation.aerial import load_pairs
from evaluation.consistency import see_box
from ldsr.data.bands import BANDS
from ldsr.data.fine import read_fine
from ldsr.data.geotiff import write_patch
from ldsr.data.patch import Patch, Source
from ldsr.data.reader import read_patch
from ldsr.errors import LdsrError, MetricError

FACTOR = 4
AS_GIVEN = "as given"
AERIAL = (
    "Aerial tiles whose 2.4 m picture is the reference and whose 9.6 m input is made of it through "
    "Sentinel-2's point spread function, without noise: real ground, an ideal sensor."
)
PAIRS = (
    "Pairs of a 10 m input and a reference of another sensor: the two differ by more than "
    "resolution (light, season, calibration), and every score contains that difference."
)
RASTERS = (".tif", ".tiff")
TURNED = 0.03
"""Bands count as out of order where another order correlates better by this much..."""
CERTAIN = 0.8
"""... and itself at least this well."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """One input and what it is compared with.

    Attributes:
        name: unique; also `lr.source.name`, and the name of a foreign result's file.
        lr: the input, [4, H, W].
        references: the true picture [4, 4H, 4W] by how it was prepared, "as given" first.
        group: cases of one group show the same ground: they are not independent.
        shift: found between input and reference in pixels of 2.5 m (rows, columns), and mended;
            None where nothing was looked for or found.
    """

    name: str
    lr: Patch
    references: Mapping[str, Patch]
    group: str
    shift: tuple[float, float] | None = None

    @property
    def hr(self) -> Patch:
        """The reference as it was given."""
        return next(iter(self.references.values()))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """Several cases, and one honest sentence about them.

    Attributes:
        title: to show.
        description: what the pictures are, and what a score on them means.
        cases: the pairs.
    """

    title: str
    description: str
    cases: Sequence[Case]


def load_dataset(path: Path) -> Dataset:
    """Read pairs.

    Args:
        path: .npz of aerial tiles (`image`), .npz of pairs (`lr` [n, 4, H, W] and `hr`
            [n, 4, 4H, 4W], reflectance), or a folder of lr/NAME.tif + hr/NAME.tif, of NAME_lr.tif
            + NAME_hr.tif, or of such .npz files.

    Raises:
        MetricError: no pairs there, or pairs that do not match.
    """
    if path.is_dir():
        return _folder(path)
    arrays = _open(path)
    if "image" in arrays:
        places = arrays.get("place", np.arange(len(arrays["image"])))
        cases = [
            Case(
                name=f"{path.stem}_{i:03}",
                lr=_named(pair.lr, f"{path.stem}_{i:03}"),
                references={AS_GIVEN: _plain(pair.hr, f"{path.stem}_{i:03}")},
                group=f"{path.stem} {places[i]}",
            )
            for i, pair in enumerate(load_pairs(path))
        ]
        title = f"{path.stem.replace('_', ' ').title()}, aerial tiles"
        return Dataset(title=title, description=AERIAL, cases=cases)
    return Dataset(title=path.stem, description=PAIRS, cases=_array_cases(path, arrays))


def export(dataset: Dataset, folder: Path) -> int:
    """Write lr/NAME.tif and hr/NAME.tif, for another system to work on; how many pairs."""
    for part in ("lr", "hr"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for case in dataset.cases:
        write_patch(case.lr, folder / "lr" / f"{case.name}.tif")
        write_patch(case.hr, folder / "hr" / f"{case.name}.tif")
    return len(dataset.cases)


def match(lr: Patch, hr: Patch, *, name: str, what: str = "reference") -> Patch:
    """Lay a 2.5 m picture on four times an input's grid, to the nearest pixel.

    What of the input it does not cover is not valid there.

    Args:
        lr: the input.
        hr: the picture; with a CRS in both it is cut or padded, else its size must fit.
        name: of the pair, for messages.
        what: the picture is, for messages.

    Raises:
        MetricError: another size, CRS, pixel size or place.
    """
    size = (FACTOR * lr.size[0], FACTOR * lr.size[1])
    if lr.crs is None or hr.crs is None or lr.transform is None or hr.transform is None:
        if hr.size != size:
            raise MetricError(
                f"{name}: the {what} is {_size(hr.size)} pixels, expected {_size(size)}, four "
                f"times the input's {_size(lr.size)}."
            )
        return hr
    if hr.crs != lr.crs:
        raise MetricError(
            f"{name}: the {what} is in {hr.crs.to_string()}, the input in {lr.crs.to_string()}; "
            f"warp the {what} to the input's CRS."
        )
    wanted = lr.transform @ Affine.scale(1 / FACTOR)
    across, down = hr.transform.a / wanted.a, hr.transform.e / wanted.e
    if not (abs(across - 1) < 1e-3 and abs(down - 1) < 1e-3):
        raise MetricError(
            f"{name}: the {what} has pixels of {abs(hr.transform.a):g} x {abs(hr.transform.e):g}, "
            f"expected {abs(wanted.a):g}, a quarter of the input's; resample it."
        )
    column, row = (~hr.transform) @ (wanted.c, wanted.f)
    return _cut(hr, round(row), round(column), size, transform=wanted, crs=lr.crs, name=name)


def check_bands(lr: Patch, hr: Patch, *, name: str) -> None:
    """Refuse a reference whose bands fit the input's clearly better in another order.

    Raises:
        MetricError: naming the order that fits.
    """
    seen, covered = see_box(hr.reflectance, hr.valid)
    counted = covered & lr.valid
    if counted.sum() < 64:
        return
    with np.errstate(invalid="ignore", divide="ignore"):
        table = np.corrcoef(lr.reflectance[:, counted], seen[:, counted])[:4, 4:]
    if not np.isfinite(table).all():
        return
    orders = list(itertools.permutations(range(4)))
    fits = [float(np.mean([table[i, k] for i, k in enumerate(order)])) for order in orders]
    best = int(np.argmax(fits))
    if fits[best] > max(CERTAIN, fits[0] + TURNED):
        found = [BANDS[orders[best].index(k)] for k in range(4)]
        raise MetricError(
            f"{name}: the reference's bands look like {', '.join(found)}, expected "
            f"{', '.join(BANDS)}; put them in that order."
        )


def digest(*patches: Patch) -> str:
    """SHA-256 of pixels and validity: what a score depends on."""
    found = hashlib.sha256()
    for patch in patches:
        found.update(str(patch.size).encode())
        found.update(np.ascontiguousarray(patch.reflectance).tobytes())
        found.update(np.ascontiguousarray(patch.valid).tobytes())
    return found.hexdigest()


def _folder(folder: Path) -> Dataset:
    """Read a folder of pairs, in the order of their names."""
    archives = sorted(folder.glob("*.npz"))
    if archives:
        parts = [load_dataset(path) for path in archives]
        aerial = all(part.description == AERIAL for part in parts)
        cases = [case for part in parts for case in part.cases]
        return Dataset(title=folder.name, description=AERIAL if aerial else PAIRS, cases=cases)
    found = _files(folder)
    cases = []
    for name, (low, high) in found.items():
        lr = read_patch(low, name=name)
        try:
            hr = read_fine(high)
        except LdsrError as error:
            raise MetricError(f"{name}: {error}") from error
        hr = match(lr, hr, name=name)
        check_bands(lr, hr, name=name)
        cases.append(Case(name=name, lr=lr, references={AS_GIVEN: hr}, group=name))
    return Dataset(title=folder.name, description=PAIRS, cases=cases)


def _files(folder: Path) -> dict[str, tuple[Path, Path]]:
    """Input and reference by name.

    Raises:
        MetricError: none at all, or one without the other.
    """
    if (folder / "lr").is_dir() and (folder / "hr").is_dir():
        low, high = ({p.stem: p for p in _rasters(folder / part)} for part in ("lr", "hr"))
    else:
        named = _rasters(folder)
        low, high = (
            {p.stem.removesuffix(end): p for p in named if p.stem.endswith(end)}
            for end in ("_lr", "_hr")
        )
    if not low and not high:
        raise MetricError(
            f"{folder} has no pairs; expected lr/NAME.tif with hr/NAME.tif, or NAME_lr.tif with "
            "NAME_hr.tif."
        )
    alone = sorted(low.keys() ^ high.keys())
    if alone:
        have, lack = ("an input", "reference") if alone[0] in low else ("a reference", "input")
        more = f" (and {len(alone) - 1} more)" if len(alone) > 1 else ""
        raise MetricError(f"{folder}: {alone[0]}{more} has {have} but no {lack}.")
    return {name: (low[name], high[name]) for name in sorted(low)}


def _rasters(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in RASTERS)


def _open(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, AttributeError) as error:
        raise MetricError(
            f"{path} is no .npz of pictures ({error}); expected a file with `image`, or with `lr` "
            "and `hr`, or a folder of pairs."
        ) from error
    if "image" not in arrays and not {"lr", "hr"} <= arrays.keys():
        raise MetricError(
            f"{path} has the arrays {', '.join(sorted(arrays)) or 'none'}; expected `image` "
            "(aerial tiles), or `lr` and `hr`."
        )
    return arrays


def _array_cases(path: Path, arrays: Mapping[str, np.ndarray]) -> list[Case]:
    """Pairs of two arrays of reflectance."""
    low, high = (np.asarray(arrays[key]) for key in ("lr", "hr"))
    low, high = (x[None] if x.ndim == 3 else x for x in (low, high))
    fits = low.ndim == high.ndim == 4 and low.shape[1] == high.shape[1] == len(BANDS)
    fits = fits and tuple(FACTOR * side for side in low.shape[2:]) == high.shape[2:]
    if not fits or len(low) != len(high):
        raise MetricError(
            f"{path}: `lr` is {arrays['lr'].shape} and `hr` {arrays['hr'].shape}; expected "
            "[n, 4, H, W] and [n, 4, 4H, 4W]."
        )
    if not all(np.issubdtype(x.dtype, np.floating) for x in (low, high)):
        raise MetricError(
            f"{path}: `lr` is {low.dtype} and `hr` {high.dtype}; expected reflectance, float32."
        )
    groups = arrays.get("place", np.arange(len(low)))
    cases = []
    for i, (x, y) in enumerate(zip(low, high, strict=True)):
        name = path.stem if len(low) == 1 else f"{path.stem}_{i:03}"
        lr, hr = _plain(x, name), _plain(y, name)
        check_bands(lr, hr, name=name)
        group = f"{path.stem} {groups[i]}"
        cases.append(Case(name=name, lr=lr, references={AS_GIVEN: hr}, group=group))
    return cases


def _cut(
    hr: Patch, row: int, column: int, size: tuple[int, int], *, name: str, **place: object
) -> Patch:
    """The `size` pixels from a corner on, what lies outside not valid."""
    height, width = hr.size
    top, left = max(0, row), max(0, column)
    bottom, right = min(height, row + size[0]), min(width, column + size[1])
    if bottom <= top or right <= left:
        raise MetricError(
            f"{name}: the reference lies {max(abs(row), abs(column))} of its pixels away from the "
            "input and does not overlap it; choose one of the same place."
        )
    reflectance = np.zeros((len(BANDS), *size), np.float32)
    valid = np.zeros(size, bool)
    here = np.s_[top - row : bottom - row, left - column : right - column]
    reflectance[(..., *here)] = hr.reflectance[:, top:bottom, left:right]
    valid[here] = hr.valid[top:bottom, left:right]
    return Patch(reflectance=reflectance, valid=valid, source=hr.source, **place)


def _plain(reflectance: np.ndarray, name: str) -> Patch:
    """A picture without a place; what is not finite is not valid."""
    valid = np.isfinite(reflectance).all(0)
    return Patch(
        reflectance=np.where(valid, reflectance, 0).astype(np.float32),
        valid=valid,
        source=Source(kind="upload", name=name),
    )


def _named(patch: Patch, name: str) -> Patch:
    return dataclasses.replace(patch, source=dataclasses.replace(patch.source, name=name))


def _size(size: tuple[int, int]) -> str:
    return f"{size[1]} x {size[0]}"
