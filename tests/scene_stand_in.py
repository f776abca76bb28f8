"""A stand-in for `python -m ldsr scene`: does nothing, as far as a test lets it.

It counts windows up to the number in the file `gate` of $LDSR_HOME; at the last one it writes a
small GeoTIFF and its two companions. A gate of "fail" makes it fail, of "deaf" makes it ignore
that it is asked to stop, of "gap" makes the last window fail: without --with-gaps there is no file.
"""

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path

WINDOWS = 4
PATIENCE = 60.0
FAILED = (
    "1 window of 4 failed, the others are kept: it is damaged; try those again with --resume, or "
    "write the file without them with --resume --with-gaps."
)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("scene", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--progress", type=Path, required=True)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--with-gaps", action="store_true")
    options, _ = parser.parse_known_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    kept = Path(f"{options.out}.kept")
    done = int(kept.read_text()) if options.resume and kept.exists() else 0
    failed, state = 0, "stopped"

    def say(now: str, message: str = "") -> None:
        values = {"done": done, "failed": failed, "windows": WINDOWS, "message": message}
        values |= {"state": now, "seconds": 2.0 * done, "rate": 0.5 if done else None}
        values["left"] = 2.0 * (WINDOWS - done) if done else None
        part = options.progress.with_suffix(".part")
        part.write_text(json.dumps(values))
        part.replace(options.progress)

    try:
        say("starting")
        if not options.scene.exists():
            print(f"ldsr: {options.scene.resolve()} is not there; hand it in.", file=sys.stderr)
            state = "failed"
            return 2
        end = time.monotonic() + PATIENCE
        while done < WINDOWS and time.monotonic() < end:
            gate = read_gate()
            if gate == "fail":
                say("failed", f"No room in {options.out.resolve()}; make some.")
                state = "failed"
                return 2
            if gate == "gap":
                done, failed = WINDOWS - 1, 1
                kept.write_text(str(done))
                if options.with_gaps:
                    break
                say("failed", FAILED)
                state = "failed"
                return 2
            if gate == "deaf":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if gate.isdecimal() and int(gate) > done:
                done += 1
                kept.write_text(str(done))
            say("computing")
            time.sleep(0.01)
        say("writing")
        write(options.out)
        state = "done"
        return 0
    finally:
        if state != "failed":
            say(state)


def read_gate() -> str:
    try:
        return (Path(os.environ["LDSR_HOME"]) / "gate").read_text().strip()
    except OSError:
        return ""


def write(out: Path) -> None:
    import numpy as np
    import rasterio
    from rasterio.transform import from_origin

    rows, columns = np.mgrid[0:64, 0:80]
    values = np.stack([500 + 40 * rows, 400 + 30 * columns, 300 + rows + columns, 3000 - 20 * rows])
    shape = {"height": 64, "width": 80, "count": 4, "dtype": "uint16", "nodata": 0}
    place = {"crs": "EPSG:32632", "transform": from_origin(680000, 5152000, 2.5, 2.5)}
    with rasterio.open(out, "w", driver="GTiff", **shape, **place) as file:
        file.write(values.astype(np.uint16))
        file.scales = (1e-4,) * 4
    out.with_suffix(".json").write_text(json.dumps({"made": "by a stand-in"}))
    out.with_suffix(".stac.json").write_text(json.dumps({"type": "Feature"}))


if __name__ == "__main__":
    sys.exit(main())
