"""What Sentinel-2 would see of a 2.5 m picture, and the least change that makes it see the input.

Tensors in, tensors out: torch alone. Knows neither networks nor files; clips nothing.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

SCALE = 4
"""High-resolution pixels per low-resolution pixel and axis."""

PSF_SIGMA = (2.12, 2.03, 2.05, 2.15)
"""Standard deviation of Sentinel-2's point spread function in pixels of 2.5 m, R, G, B, NIR.

sigma = (r / pi) sqrt(-2 ln G) with r = 4 and G the modulation transfer at the 10 m Nyquist
frequency: .25 (B04), .28 (B03), .275 (B02), .24 (B08).
"""

BOX_SPREAD_SIGMA = 1.5
"""Width of the smooth kernel that spreads a residual of the box mean, in pixels of 2.5 m."""

_HALF = 10
"""Half length of a kernel in high-resolution pixels; 4.6 sigma of the widest band."""


@dataclasses.dataclass(frozen=True)
class BackProjection:
    """A picture made consistent with its input.

    Attributes:
        x: [B, C, 4H, 4W], not clipped.
        before: [B], RMSE between D x and the input over valid pixels and all bands, before.
        after: [B], the same after.
        iterations: solver steps made (the slowest band of the batch).
    """

    x: Tensor
    before: Tensor
    after: Tensor
    iterations: int


def degrade(x: Tensor, *, operator: str = "psf", sigma: Sequence[float] = PSF_SIGMA) -> Tensor:
    """Look at a 2.5 m picture with 10 m eyes: the operator D.

    The low-resolution pixel's centre lies between pixels 1 and 2 of its block of four, so the
    kernel is taken at offsets of half pixels. Beyond its edge the picture is mirrored. A constant
    stays what it is.

    Args:
        x: [B, C, 4H, 4W].
        operator: "psf" (Gaussian per band, then every fourth pixel) or "box" (4 x 4 mean).
        sigma: standard deviation per band in high-resolution pixels, C values; "psf" only.

    Returns:
        [B, C, H, W].
    """
    see, _ = _kernels(operator, sigma, x.shape[1])
    return _decimate(x, see)


def back_project(
    x: Tensor,
    lr: Tensor,
    *,
    operator: str = "psf",
    valid: Tensor | None = None,
    freedom: Tensor | None = None,
    sigma: Sequence[float] = PSF_SIGMA,
    tol: float = 1e-4,
    max_iterations: int = 100,
    rounds: int | None = None,
    look_up: Callable[[], None] | None = None,
) -> BackProjection:
    """Change a picture as little as possible so that D x equals the input.

    x <- x + U z with (M D U M) z = M (lr - D x), M the valid pixels; U spreads a low-resolution
    pixel with a smooth kernel, so that no 4 pixel grid appears. For "psf" U is 16 D^T, and the
    change is the one of least norm, D^T (D D^T)^-1 (lr - D x). The system lives on the small grid
    and is solved by conjugate residuals, each band of each sample for itself and only until its
    residual is below `tol`: what is left unsolved are the frequencies that cost most noise.

    Args:
        x: [B, C, 4H, 4W].
        lr: [B, C, H, W], the input.
        operator: "psf" or "box", as for `degrade`.
        valid: bool, broadcastable to `lr`; other pixels are ignored. None: all are valid.
        freedom: [B, 1, 4H, 4W], 0..1: how freely a pixel may change, 0 not at all; U becomes
            freedom U. None: all alike. What cannot be reached so is left in the residual.
        sigma: as for `degrade`.
        tol: RMSE to reach over the valid pixels of each band.
        max_iterations: at most so many steps.
        rounds: exactly so many steps of a solver that knows nothing of the whole picture, so that
            a window of a picture gets what the picture gets there; `tol` says nothing then.
        look_up: called at each step; what it raises ends the work.

    Returns:
        The picture, its residual before and after, the steps made.
    """
    see, spread = _kernels(operator, sigma, x.shape[1])
    mask = torch.ones_like(lr) if valid is None else valid.to(lr).expand_as(lr)
    count = mask.sum((2, 3), keepdim=True).clamp_min(1.0)
    # a masked pixel may hold anything, even NaN
    lr = torch.where(mask > 0, lr, torch.zeros_like(lr))
    residual = mask * (lr - _decimate(x, see))
    before = _rms(residual, mask)
    overlap = _overlap(see, spread)

    def see_spread(z: Tensor) -> Tensor:
        if look_up is not None:
            look_up()
        if freedom is None:
            return mask * _filter(z, overlap)
        return mask * _decimate(freedom * _spread(z, spread), see)

    if rounds is not None:
        z, iterations = _chebyshev(residual, see_spread, *_spectrum(overlap), rounds=rounds), rounds
    else:
        z, iterations = _conjugate_residuals(
            residual, see_spread, limit=count * tol**2, max_iterations=max_iterations
        )
    if iterations:
        change = _spread(z, spread)
        x = x + (change if freedom is None else freedom * change)
    after = _rms(mask * (lr - _decimate(x, see)), mask)
    return BackProjection(x, before, after, iterations)


def back_project_bounded(
    generated: Tensor,
    base: Tensor,
    lr: Tensor,
    *,
    freedom: Tensor,
    operator: str = "psf",
    valid: Tensor | None = None,
    tol: float = 1e-4,
    rounds: int | None = None,
    look_up: Callable[[], None] | None = None,
) -> BackProjection:
    """Make a picture consistent that may leave its base only so far as each pixel is free to.

    What was generated is back-projected, mixed with the base by `freedom`, and what the mixture
    then lacks of the input is put where it is free. Where `freedom` is 0 the base stays as it is.
    If pixels that may not change stand in the way of `tol` (and always with `rounds`), all change
    for the remainder.

    Args:
        generated: what the generator would draw [B, C, 4H, 4W].
        base: [B, C, 4H, 4W], consistent with the input to less than `tol`.
        lr: [B, C, H, W], the input.
        freedom: [B, 1, 4H, 4W], 0..1.
        operator: as for `back_project`; so are `valid`, `tol`, `rounds` and `look_up`.

    Returns:
        The picture; `before` is the residual of what was generated.
    """
    how = {"operator": operator, "valid": valid, "tol": tol, "rounds": rounds, "look_up": look_up}
    free = back_project(generated, lr, **how)
    mixed = base + freedom * (free.x - base)
    done = back_project(mixed, lr, freedom=freedom, **how)
    if rounds is not None or bool((done.after > tol).any()):
        done = back_project(done.x, lr, **how)
    return BackProjection(done.x, free.before, done.after, free.iterations + done.iterations)


def _conjugate_residuals(
    residual: Tensor, operator: Callable[[Tensor], Tensor], *, limit: Tensor, max_iterations: int
) -> tuple[Tensor, int]:
    """Solve operator(z) = residual per sample and band until |residual|^2 <= limit.

    Conjugate residuals (Stiefel, 1955): as conjugate gradients, but what is left never grows, not
    even where the operator is singular because pixels are not free to change.
    """
    z = torch.zeros_like(residual)
    seen_residual = operator(residual)
    direction, seen = residual, seen_residual
    curvature = (residual * seen_residual).sum((2, 3), keepdim=True)
    for iteration in range(max_iterations):
        going = residual.square().sum((2, 3), keepdim=True) > limit
        if not bool(going.any()):
            return z, iteration
        length = curvature / seen.square().sum((2, 3), keepdim=True).clamp_min(1e-30)
        length = torch.where(going, length, 0.0)
        z = z + length * direction
        residual = residual - length * seen
        seen_residual = operator(residual)
        curvature_next = (residual * seen_residual).sum((2, 3), keepdim=True)
        ratio = curvature_next / curvature.clamp_min(1e-30)
        direction = residual + ratio * direction
        seen = seen_residual + ratio * seen
        curvature = curvature_next
    return z, max_iterations


def _chebyshev(
    residual: Tensor,
    operator: Callable[[Tensor], Tensor],
    least: Tensor,
    largest: Tensor,
    *,
    rounds: int,
) -> Tensor:
    """Solve operator(z) = residual in part: Chebyshev's iteration (Golub and Varga, 1961).

    Its coefficients come from the operator's spectrum, least .. largest [C, 1, 1] of each band, and
    not from the picture. Where the operator is singular, residuals stay as they are.
    """
    middle, half = (largest + least) / 2, (largest - least) / 2
    ratio = half / middle
    step = residual / middle
    z = torch.zeros_like(residual)
    for _ in range(rounds):
        z = z + step
        residual = residual - operator(step)
        following = 1 / (2 * middle / half - ratio)
        step = following * ratio * step + 2 * following / half * residual
        ratio = following
    return z


def _spectrum(overlap: Tensor) -> tuple[Tensor, Tensor]:
    """Least and largest eigenvalue of D U of each band [C, 1, 1], from its kernel [C, odd]."""
    reach = overlap.shape[1] // 2
    waves = torch.arange(0, reach + 1, dtype=overlap.dtype)
    angles = torch.linspace(0, math.pi, 64, dtype=overlap.dtype)[:, None] * waves
    weights = overlap[:, reach:] * torch.where(waves > 0, 2.0, 1.0)
    along_one_axis = weights @ angles.cos().T
    ends = along_one_axis.amin(1).square(), along_one_axis.amax(1).square()
    return tuple(end[:, None, None].float() for end in ends)


def _kernels(operator: str, sigma: Sequence[float], bands: int) -> tuple[Tensor, Tensor]:
    """One-dimensional kernels of D and of U, float64 [C, K] each; D sums to 1, U to 4."""
    if operator == "psf":
        if len(sigma) != bands:
            raise ValueError(f"{len(sigma)} widths for {bands} bands.")
        see = torch.stack([_gaussian(width) for width in sigma])
        return see, SCALE * see
    if operator == "box":
        see = torch.full((bands, SCALE), 1.0 / SCALE, dtype=torch.float64)
        return see, SCALE * _gaussian(BOX_SPREAD_SIGMA).expand(bands, -1)
    raise ValueError(f'operator is {operator!r}; expected "psf" or "box".')


def _gaussian(sigma: float) -> Tensor:
    """A Gaussian at half-pixel offsets, normalised, float64 [2 * _HALF]."""
    offsets = torch.arange(-_HALF + 0.5, _HALF, 1.0, dtype=torch.float64)
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
    return weights / weights.sum()


def _overlap(see: Tensor, spread: Tensor) -> Tensor:
    """Kernel of D U on the low-resolution grid, [C, odd]: sum_j see[j] spread[j - 4 m]."""
    reach = (see.shape[1] // 2 + spread.shape[1] // 2 - 1) // SCALE
    lags = range(-reach, reach + 1)
    margin = reach * SCALE + spread.shape[1] // 2
    wide = F.pad(see, (margin - see.shape[1] // 2,) * 2)
    start = margin - spread.shape[1] // 2
    slices = [wide[:, start + SCALE * m : start + SCALE * m + spread.shape[1]] for m in lags]
    return torch.stack([(part * spread).sum(1) for part in slices], dim=1)


def _decimate(x: Tensor, kernel: Tensor) -> Tensor:
    """Correlate with a kernel per band along both axes and keep every fourth position."""
    margin = (kernel.shape[1] - SCALE) // 2
    x = F.conv2d(_mirror(x, margin, -1), _row(kernel, x), stride=(1, SCALE), groups=x.shape[1])
    return F.conv2d(
        _mirror(x, margin, -2), _column(kernel, x), stride=(SCALE, 1), groups=x.shape[1]
    )


def _spread(z: Tensor, kernel: Tensor) -> Tensor:
    """Put a kernel on every low-resolution pixel: the transpose of `_decimate`."""
    groups = z.shape[1]
    margin = (kernel.shape[1] - SCALE) // 2
    outside = math.ceil(margin / SCALE)
    cut = SCALE * outside + margin
    z = _mirror(z, outside, -2)
    z = F.conv_transpose2d(z, _column(kernel, z), stride=(SCALE, 1), groups=groups)
    z = _mirror(z[..., cut : z.shape[-2] - cut, :], outside, -1)
    z = F.conv_transpose2d(z, _row(kernel, z), stride=(1, SCALE), groups=groups)
    return z[..., cut : z.shape[-1] - cut]


def _filter(z: Tensor, kernel: Tensor) -> Tensor:
    """Correlate with an odd kernel per band along both axes, same size."""
    reach = kernel.shape[1] // 2
    z = F.conv2d(_mirror(z, reach, -1), _row(kernel, z), groups=z.shape[1])
    return F.conv2d(_mirror(z, reach, -2), _column(kernel, z), groups=z.shape[1])


def _row(kernel: Tensor, like: Tensor) -> Tensor:
    return kernel.to(like)[:, None, None, :]


def _column(kernel: Tensor, like: Tensor) -> Tensor:
    return kernel.to(like)[:, None, :, None]


def _mirror(x: Tensor, margin: int, dim: int) -> Tensor:
    """Extend by `margin` on both sides, the edge pixel repeated (half-sample symmetry).

    Channels come last in memory: the convolutions of four bands are several times faster so.
    """
    x = x.contiguous(memory_format=torch.channels_last)
    if margin == 0:
        return x
    size = x.shape[dim]
    first = x.narrow(dim, 0, margin).flip(dim)
    last = x.narrow(dim, size - margin, margin).flip(dim)
    return torch.cat([first, x, last], dim)


def _rms(residual: Tensor, mask: Tensor) -> Tensor:
    """Root mean square over valid pixels and bands, [B]."""
    total = residual.double().square().sum((1, 2, 3))
    return (total / mask.double().sum((1, 2, 3)).clamp_min(1.0)).sqrt()
