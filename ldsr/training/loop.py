"""One training loop for all recipes: time budget, warm-up and cosine, EMA, checkpoints, resume."""

import dataclasses
import logging
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Budget:
    """How long and how fast to train.

    Attributes:
        minutes: wall-clock time of all sessions together.
        max_steps: stop after this many steps even if time is left.
        learning_rate: peak; warmed up over `warmup` steps, then a cosine over the time.
        warmup: steps.
        ema: decay of the moving average of the weights.
        clip: largest norm of the gradient.
        save_every: seconds between checkpoints.
    """

    minutes: float
    max_steps: int = 10**9
    learning_rate: float = 5e-4
    warmup: int = 100
    ema: float = 0.999
    clip: float = 1.0
    save_every: float = 60.0


class Ema:
    """Moving average of a network's weights, with a ramp for the first steps."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.values = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move towards the network's present weights."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for name, value in network.state_dict().items():
            self.values[name].lerp_(value.detach(), 1 - decay)


def fit(
    network: nn.Module,
    loss: Callable[[int, float], tuple[Tensor, dict[str, float]]],
    *,
    budget: Budget,
    checkpoint: Path,
    extra: dict[str, torch.Generator] | None = None,
) -> int:
    """Train `network` in place and leave it with its averaged weights.

    Args:
        network: what is optimised.
        loss: called with step and progress 0..1; returns the loss and values to log.
        budget: time and rates.
        checkpoint: file that is written while training and resumed from.
        extra: random generators whose state belongs in the checkpoint.

    Returns:
        The number of steps made in all.
    """
    optimiser = torch.optim.AdamW(network.parameters(), lr=budget.learning_rate, weight_decay=1e-4)
    ema = Ema(network, budget.ema)
    step, spent = 0, 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        ema.values, ema.steps = state["ema"], state["step"]
        step, spent = state["step"], state["seconds"]
        for name, generator in (extra or {}).items():
            generator.set_state(state["random"][name])
    started, saved, averages = time.monotonic() - spent, time.monotonic(), {}

    def save() -> None:
        random = {name: generator.get_state() for name, generator in (extra or {}).items()}
        partial = checkpoint.with_suffix(".partial")
        torch.save(
            {
                "network": network.state_dict(),
                "optimiser": optimiser.state_dict(),
                "ema": ema.values,
                "step": step,
                "seconds": time.monotonic() - started,
                "random": random,
            },
            partial,
        )
        partial.replace(checkpoint)

    while step < budget.max_steps:
        progress = (time.monotonic() - started) / (60 * budget.minutes)
        if progress >= 1:
            break
        rate = (
            budget.learning_rate * 0.5 * (1 + float(torch.cos(torch.tensor(progress * torch.pi))))
        )
        optimiser.param_groups[0]["lr"] = rate * min(1.0, (step + 1) / budget.warmup)
        value, values = loss(step, progress)
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(network.parameters(), budget.clip)
        optimiser.step()
        ema.update(network)
        step += 1
        for name, number in values.items():
            averages[name] = 0.98 * averages.get(name, number) + 0.02 * number
        if step % 50 == 0:
            shown = "  ".join(f"{name} {number:.4f}" for name, number in averages.items())
            log.info("step %d  %.1f min  %s", step, (time.monotonic() - started) / 60, shown)
        if time.monotonic() - saved > budget.save_every:
            save()
            saved = time.monotonic()
    save()
    network.load_state_dict(ema.values)
    return step
