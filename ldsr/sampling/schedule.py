"""How much signal and noise a latent holds at each time step, and which steps a sampler visits.

Every coefficient is computed in float64. Knows no network, no sampler and no picture.
"""

import dataclasses
import math

import torch
from torch import Tensor

PARAMETERIZATIONS = ("eps", "v")
SPACINGS = ("trailing", "leading")


@dataclasses.dataclass(frozen=True, eq=False)
class Schedule:
    """A variance-preserving diffusion: x_t = alpha_t x0 + sigma_t eps, alpha^2 + sigma^2 = 1.

    Attributes:
        alphas_cumprod: float64 [T], alpha_t^2, strictly decreasing within [0, 1].
        parameterization: what the network predicts, "eps" or "v" = alpha eps - sigma x0
            (Salimans and Ho, 2022). "eps" cannot start from zero signal.

    Raises:
        ValueError: not such a sequence, or "eps" with no signal at the last step.
    """

    alphas_cumprod: Tensor
    parameterization: str = "eps"

    def __post_init__(self) -> None:
        if self.parameterization not in PARAMETERIZATIONS:
            raise ValueError(
                f'parameterization is {self.parameterization!r}; expected "eps" or "v".'
            )
        values = self.alphas_cumprod.detach().double().cpu()
        if values.ndim != 1 or len(values) == 0 or not bool(values.isfinite().all()):
            raise ValueError(
                f"alphas_cumprod has shape {tuple(values.shape)}; expected finite [T]."
            )
        if values[0] > 1 or values[-1] < 0 or bool((values.diff() >= 0).any()):
            raise ValueError("alphas_cumprod must decrease strictly within [0, 1].")
        if self.parameterization == "eps" and values[-1] == 0:
            raise ValueError(
                'No signal at the last step: "eps" does not determine x0 there, use "v".'
            )
        object.__setattr__(self, "alphas_cumprod", values)

    def __len__(self) -> int:
        """Number of time steps T."""
        return len(self.alphas_cumprod)

    def alpha(self, t: int | Tensor) -> Tensor:
        """Amplitude of the signal at t, float64 of t's shape."""
        return self.alphas_cumprod[_index(t)].sqrt()

    def sigma(self, t: int | Tensor) -> Tensor:
        """Amplitude of the noise at t, float64 of t's shape."""
        return (1.0 - self.alphas_cumprod[_index(t)]).sqrt()

    def log_snr(self, t: int | Tensor) -> Tensor:
        """ln(alpha^2 / sigma^2) at t, float64 of t's shape; -inf where there is no signal."""
        signal = self.alphas_cumprod[_index(t)]
        return signal.log() - (1.0 - signal).log()

    def add_noise(self, x0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """x_t = alpha x0 + sigma eps for [B, C, H, W] and t [B]."""
        alpha, sigma = self._like(x0, t)
        return alpha * x0 + sigma * eps

    def target(self, x0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """What the network is trained to predict at t [B]: eps, or v = alpha eps - sigma x0."""
        if self.parameterization == "eps":
            return eps
        alpha, sigma = self._like(x0, t)
        return alpha * eps - sigma * x0

    def to_x0_eps(self, output: Tensor, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Turn the network's output into estimates of the clean latent and of the noise.

        "eps": x0 = (x_t - sigma eps) / alpha; "v": x0 = alpha x_t - sigma v, eps = sigma x_t +
        alpha v, which needs no division and holds at zero signal too.

        Args:
            output: [B, C, H, W].
            x_t: [B, C, H, W].
            t: [B], whole numbers.

        Returns:
            x0 and eps, each [B, C, H, W].
        """
        alpha, sigma = self._like(x_t, t)
        if self.parameterization == "eps":
            return (x_t - sigma * output) / alpha, output
        return alpha * x_t - sigma * output, sigma * x_t + alpha * output

    def to_eps(self, x0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """Derive the noise that x_t holds if the clean latent is x0, all [B, C, H, W], t [B]."""
        alpha, sigma = self._like(x_t, t)
        return (x_t - alpha * x0) / sigma

    def _like(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """alpha and sigma as [B, 1, 1, 1] of x's type and device."""
        shape = (-1,) + (1,) * (x.ndim - 1)
        return self.alpha(t).to(x).view(shape), self.sigma(t).to(x).view(shape)


def linear_schedule(
    length: int = 1000, *, start: float = 0.0015, end: float = 0.0155, parameterization: str = "eps"
) -> Schedule:
    """LDSR-S2's noise: square roots of beta from start to end in equal steps (Rombach et al.)."""
    betas = torch.linspace(start**0.5, end**0.5, length, dtype=torch.float64) ** 2
    return Schedule((1.0 - betas).cumprod(0), parameterization)


def cosine_schedule(
    length: int = 1000, *, offset: float = 0.008, parameterization: str = "v"
) -> Schedule:
    """alpha_t^2 = f(t + 1) / f(0), f(u) = cos^2(pi / 2 (u / T + offset) / (1 + offset)).

    Nichol and Dhariwal, 2021, without the cap on beta: the last step holds no signal at all.
    """
    u = torch.arange(1, length + 1, dtype=torch.float64) / length
    angle = (u + offset) / (1.0 + offset) * (math.pi / 2)
    start = math.cos(offset / (1.0 + offset) * math.pi / 2)
    signal = (angle.cos() / start) ** 2
    signal[-1] = 0.0
    return Schedule(signal, parameterization)


SR3_BETAS = (1e-6, 1e-2)
SR3_LENGTH = 2000


def sr3_signal(time: Tensor) -> Tensor:
    """Give gamma, the squared amplitude of SR3's signal, at a time 0 (clean) .. 1 (noise).

    SR3's betas rise linearly over 2000 steps. In the limit of small ones gamma = exp(-B(time)), B
    their integral, 2000 (b0 time + (b1 - b0) time^2 / 2): 4.5e-5 at the end (the product: 4.4e-5).
    """
    first, last = SR3_BETAS
    time = time.double()
    return torch.exp(-SR3_LENGTH * (first * time + (last - first) * time**2 / 2))


def sr3_schedule(length: int = SR3_LENGTH) -> Schedule:
    """SR3's noise in any number of steps: as pure at the last one, only the betas are larger.

    Keeping the betas and cutting the steps would end with signal left (0.08 after 500), where
    sampling begins with none.
    """
    steps = torch.arange(1, length + 1, dtype=torch.float64)
    return Schedule(sr3_signal(steps / length), "v")


def timesteps(
    schedule: Schedule, steps: int, *, spacing: str = "trailing", strength: float = 1.0
) -> tuple[int, ...]:
    """Choose the time steps of a run.

    "trailing" begins at T - 1, as a schedule that ends in pure noise wants, and is the better for
    few steps (Lin et al., 2024). "leading" is LDSR-S2's floor(i T / steps) + 1, exact where steps
    divides T; it begins lower. (With so many steps that +1 would pass the end, +0.)

    Args:
        schedule: of length T.
        steps: 1..T.
        spacing: "trailing" or "leading".
        strength: share of the schedule to visit, counted from its clean end: a run that begins
            with a noised picture. Steps that would fall together are visited once.

    Returns:
        `steps` whole numbers in 0..T - 1 (fewer only where strength leaves fewer than that),
        strictly decreasing.

    Raises:
        ValueError: steps out of range, or an unknown spacing.
    """
    if not 1 <= steps <= len(schedule):
        raise ValueError(f"{steps} steps; expected 1 to {len(schedule)}.")
    length = max(1, round(strength * len(schedule)))
    steps = min(steps, length)
    if spacing == "trailing":
        # round(T - i T / steps) - 1, halves upwards, in whole numbers
        return tuple((2 * length * (steps - i) + steps) // (2 * steps) - 1 for i in range(steps))
    if spacing == "leading":
        first = [i * length // steps for i in range(steps)]
        offset = 1 if first[-1] + 1 < length else 0
        return tuple(t + offset for t in reversed(first))
    raise ValueError(f'spacing is {spacing!r}; expected "trailing" or "leading".')


def _index(t: int | Tensor) -> int | Tensor:
    return t.detach().cpu().long() if isinstance(t, Tensor) else t
