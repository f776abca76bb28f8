"""Command line of the evaluation: several methods on pairs or landscapes, bicubic beside them."""

import argparse
import csv
import sys
from pathlib import Path

import numpy as np

from evaluation.aerial import Pair, load_pairs
from evaluation.detail import Refined, judge_detail
from evaluation.fidelity import psnr
from evaluation.landscapes import look, save
from evaluation.methods import Method, add_options, make_methods, variants
from evaluation.perceptual import Lpips
from ldsr.data.reader import read_patch
from ldsr.errors import LdsrError, MetricError
from ldsr.pipeline import Pipeline
from ldsr.settings import Settings


def main(arguments: list[str] | None = None) -> int:
    """Run and return the exit status: 0, or 2 for anything the person can mend."""
    options = _parser().parse_args(arguments)
    try:
        if options.pairs:
            score_pairs(options)
        else:
            look_at_landscapes(options)
    except LdsrError as error:
        print(f"evaluation: {error}", file=sys.stderr)
        return 2
    return 0


def score_pairs(options: argparse.Namespace) -> None:
    """Print the scores on pairs with a reference, and write scores.csv."""
    pairs = load_pairs(options.pairs)[:: options.every]
    rows = compare(pairs, make_methods(options))
    for row in rows:
        print("{method:28} PSNR {psnr:6.2f} dB ({gain:+.2f})  LPIPS {lpips}".format(**row))
    _write_table(rows, options.out, "scores.csv")
    if "refine" in options.methods.split(","):
        show_detail(pairs, options)


def look_at_landscapes(options: argparse.Namespace) -> None:
    """Print grid and colour shift on real patches, and write the pictures and landscapes.csv."""
    methods = make_methods(options)
    rows: list[dict] = []
    for path in options.landscapes:
        picture, found = look(read_patch(path), methods)
        for row in found:
            print(
                "{patch:40} {method:24} grid {grid_4px:5.2f} {grid_2px:5.2f}  "
                "colour shift {colour_shift:.5f}".format(**row)
            )
        rows += found
        if options.out:
            options.out.mkdir(parents=True, exist_ok=True)
            save(picture, options.out / f"{path.stem}.png")
    _write_table(rows, options.out, "landscapes.csv")


def _write_table(rows: list[dict], folder: Path | None, name: str) -> None:
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def show_detail(pairs: list[Pair], options: argparse.Namespace) -> None:
    """Print what the map of generated detail is worth on each base, and write detail.csv."""
    pipeline = Pipeline.load(options.weights, device=options.device)
    rows = []
    for label, settings in variants("refine", options):
        scores = judge_detail([refine_pair(pipeline, pair, settings) for pair in pairs])
        print(f"{label}: detail AUROC {scores.auroc:.3f}, helped {scores.helped:.1%} of the pixels")
        tenths = zip(scores.detail, scores.change, scores.gain, strict=True)
        for i, (detail, change, gain) in enumerate(tenths, start=1):
            print(f"  tenth {i:2}: detail {detail:.3f}  change {change:.5f}  gain {gain:+.6f}")
            row = {"method": label, "auroc": scores.auroc, "helped": scores.helped, "tenth": i}
            rows.append(row | {"detail": detail, "change": change, "gain": gain})
    _write_table(rows, options.out, "detail.csv")


def refine_pair(pipeline: Pipeline, pair: Pair, settings: Settings) -> Refined:
    """Run both stages on one pair."""
    result = pipeline(pair.lr, settings)
    base, sr = result.base.reflectance, result.sr.reflectance
    return Refined(hr=pair.hr, base=base, sr=sr, detail=result.detail)


def compare(pairs: list[Pair], methods: dict[str, Method]) -> list[dict]:
    """Score each method on each pair; means over the pairs, LPIPS "unavailable" with its reason."""
    try:
        lpips, reason = Lpips(), ""
    except MetricError as error:
        lpips, reason = None, f"unavailable: {error}"
    rows: list[dict] = []
    for name, method in methods.items():
        pictures = [method(pair.lr).reflectance for pair in pairs]
        quality = np.mean([psnr(sr, pair.hr) for sr, pair in zip(pictures, pairs, strict=True)])
        row = {"method": name, "psnr": quality, "gain": quality - rows[0]["psnr"] if rows else 0.0}
        row["lpips"] = reason
        if lpips is not None:
            distance = np.mean([lpips(sr, p.hr) for sr, p in zip(pictures, pairs, strict=True)])
            row["ratio"] = distance / (rows[0]["distance"] if rows else distance)
            row["distance"] = distance
            row["lpips"] = f"{distance:.4f} ({row['ratio']:.3f} x bicubic)"
        rows.append(row)
    return rows


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m evaluation", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--pairs", type=Path, help=".npz of aerial tiles, 1.2 m")
    what.add_argument("--landscapes", type=Path, nargs="+", help="real Sentinel-2 patches")
    parser.add_argument("--every", type=int, default=1, help="take every n-th tile")
    add_options(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="also write tables and pictures")
    return parser


if __name__ == "__main__":
    sys.exit(main())
