"""Make the pictures of the README again: those that the repository suffices for, by one command.

    python assets/figures/make_all.py [NAME ...] [--slow] [--out DIR]

Without names: the pages, through Chromium (tests/requirements.txt), and fields.png; a few minutes.
With --slow also those that are measured, on a machine with nothing else to do. For the others,
which need pictures that are not in the repository, it prints the commands.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGES = ("page", "map", "compare")
SAMPLE = "ireland_pastures"
MEASURED = {
    "cost": ("-m", "tests.benchmarks", "--cases", "--threads", "2", "--figures"),
    "scene": ("-m", "tests.benchmarks.scene", "--figures"),
}
"""Arguments of Python before the folder; the time they take is what they draw."""
ELSEWHERE = {
    "scores": "python -m evaluation --table report --figure assets/figures/scores.png --columns "
    "psnr,ssim,lpips,improvement,omission,hallucination  # report: see Scores in the README",
    "thresholds": "python -m evaluation.threshold_study --pairs santa_monica.npz --every 4 "
    "--out report  # report/thresholds.png",
}
"""Commands for what needs the validation city's pictures (see the model card)."""


def main() -> int:
    """Make what was asked for; the exit status is that of the first command that fails."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    known = (*PAGES, "fields", *MEASURED)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known))
    parser.add_argument("--slow", action="store_true", help="also what is measured")
    parser.add_argument("--out", type=Path, default=HERE, help="folder; by default this one")
    options = parser.parse_args()
    if unknown := set(options.names) - {*known, *ELSEWHERE}:
        parser.error(f"there is no picture {min(unknown)!r}; known are {', '.join(known)}")
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    default = [*PAGES, "fields", *(MEASURED if options.slow else ())]
    for name in options.names or default:
        if name in ELSEWHERE:
            continue
        print(f"{name}.png", flush=True)
        if status := make(name, out):
            print(f"{name}.png could not be made", file=sys.stderr)
            return status
    for name, command in ELSEWHERE.items():
        if not options.names or name in options.names:
            print(f"{name}.png is not made here:\n    {command}")
    return 0


def make(name: str, out: Path) -> int:
    """Make one picture in a folder; gives the exit status."""
    if name in MEASURED:
        return run([*MEASURED[name], str(out)])
    if name in PAGES:
        option = [] if name == "page" else [f"--{name}"]
        return run([str(HERE / "make_page.py"), str(out / f"{name}.png"), *option])
    with tempfile.TemporaryDirectory() as folder:
        patch = ROOT / "assets" / "samples" / f"{SAMPLE}.tif"
        chosen = ["--methods", "bicubic,base,refine", "--out", folder]
        status = run(["-m", "evaluation", "--landscapes", str(patch), *chosen])
        if status == 0:
            shutil.copyfile(Path(folder) / f"{SAMPLE}.png", out / f"{name}.png")
        return status


def run(arguments: Sequence[str]) -> int:
    """Run Python in the repository's root."""
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
