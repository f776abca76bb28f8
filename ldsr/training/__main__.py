"""Command line of the training: prepare the data, train one network after the other, export.

The whole of it, for the shipped weights: see assets/weights/MODEL_CARD.md.
"""

import argparse
import logging
import sys
from pathlib import Path

import torch

from ldsr.models.geometry import MINI, REFINER, REGRESSION, SR3
from ldsr.models.latent_sr import LatentSR
from ldsr.training import allocation, bases, loop, pairs, recipes, refine, sr3

log = logging.getLogger(__name__)

RECIPES = {
    "regression": recipes.train_regression,
    "autoencoder": recipes.train_autoencoder,
    "denoiser": recipes.train_denoiser,
    "polish": recipes.polish,
}
"""Recipes of the networks of the mini model, one after the other."""
FURTHER = {
    "regressor": bases.train_regressor,
    "sr3": sr3.train_sr3,
    "refiner": refine.train_refiner,
    "allocation": allocation.train_allocation,
}
"""Recipes of networks with a file of their own; all but SR3 begin with the finished mini model."""
SHIPPED = {
    "regression": ("regressor", REGRESSION, 0.0),
    "refiner": ("allocation", REFINER, refine.TEMPERATURE),
    "sr3": ("sr3", SR3, sr3.TEMPERATURE),
}
"""By role: the recipe that made the network last, its geometry, its recommended temperature."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    if options.command == "prepare":
        pairs.prepare(options.data, options.out)
    elif options.command == "export":
        export(options.folder, options.out)
    elif options.command == "export-part":
        export_part(options.role, options.folder, options.out)
    else:
        train(options)
    return 0


def train(options: argparse.Namespace) -> None:
    """Train one network and save it in the folder beside those before it."""
    torch.manual_seed(options.seed)
    options.folder.mkdir(parents=True, exist_ok=True)
    model = load_model(options.folder)
    if options.smoke:
        options.batch, options.steps, options.minutes = 4, 2, 1e6
    bench = recipes.Bench(
        model=model.to(options.device, memory_format=torch.channels_last),
        pairs=pairs.Pairs(
            pairs.load(options.pictures),
            seed=options.seed,
            size=80 if options.command == "allocation" else 64,
            aerial_scale=(1.0 if options.command in RECIPES else 1.5, 2.0),
        ),
        device=options.device,
        batch=options.batch,
        folder=options.folder,
        perceptual=not options.smoke,
    )
    budget = loop.Budget(
        minutes=options.minutes, max_steps=options.steps, learning_rate=options.learning_rate
    )
    if options.command in RECIPES:
        steps = RECIPES[options.command](bench, budget)
        torch.save(model.state_dict(), options.folder / "model.pt")
        log.info("%s: %d steps", options.command, steps)
    else:
        network = FURTHER[options.command](bench, budget)
        torch.save(network.state_dict(), options.folder / f"{options.command}_network.pt")


def export(folder: Path, out: Path) -> None:
    """Write the mini model as it ships: half precision, geometry and schedule in the header."""
    from ldsr.loading import save_mini

    digest = save_mini(
        load_model(folder),
        out,
        geometry=MINI,
        schedule=recipes.MINI_SCHEDULE,
        temperature=recipes.MINI_TEMPERATURE,
    )
    log.info("%s: %d bytes, sha256 %s", out, out.stat().st_size, digest)


def export_part(role: str, folder: Path, out: Path) -> None:
    """Write a network that works beside the mini model as it ships."""
    from ldsr.loading import PARTS, save_part

    command, geometry, temperature = SHIPPED[role]
    network = PARTS[role](**geometry)
    saved = folder / f"{command}_network.pt"
    network.load_state_dict(torch.load(saved, weights_only=True, map_location="cpu"))
    digest = save_part(network, out, geometry=geometry, temperature=temperature)
    log.info("%s: %d bytes, sha256 %s", out, out.stat().st_size, digest)


def load_model(folder: Path) -> LatentSR:
    """Build the mini model, with the networks trained so far in the folder."""
    model = LatentSR(**MINI)
    saved = folder / "model.pt"
    if saved.exists():
        model.load_state_dict(torch.load(saved, weights_only=True, map_location="cpu"))
    return model


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ldsr.training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("prepare", help="gather the training pictures in one file")
    command.add_argument("data", type=Path)
    command.add_argument("out", type=Path)
    for name, recipe in (RECIPES | FURTHER).items():
        command = commands.add_parser(name, help=recipe.__doc__.splitlines()[0])
        command.add_argument("pictures", type=Path, help="what prepare wrote")
        command.add_argument("folder", type=Path, help="checkpoints and networks")
        command.add_argument("--minutes", type=float, default=20, help="time budget in all")
        command.add_argument("--steps", type=int, default=10**9, help="stop after so many")
        command.add_argument("--batch", type=int, default=32)
        command.add_argument("--learning-rate", type=float, default=5e-4)
        command.add_argument("--seed", type=int, default=0)
        command.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
        command.add_argument("--smoke", action="store_true", help="two tiny steps, no LPIPS")
    for name, what in (("export", "the mini model"), ("export-part", "a network beside it")):
        command = commands.add_parser(name, help=f"write {what} as it ships")
        if name == "export-part":
            command.add_argument("role", choices=sorted(SHIPPED))
        command.add_argument("folder", type=Path)
        command.add_argument("out", type=Path)
    return parser


if __name__ == "__main__":
    sys.exit(main())
