"""How far a spread, a scale or an interval may be believed: scores of an ensemble against a truth.

Arrays in, numbers out; knows neither pictures nor files. n is the number of samples, M of pixels.
"""

import numpy as np
from scipy.stats import norm, rankdata
from scipy.stats import t as student

LARGE = 0.9
"""Errors above this quantile are large."""
BINS = 20
FRACTIONS = 100
"""Points of a sparsification curve."""
SEED = 0


def coverage(error: np.ndarray, half_width: np.ndarray) -> float:
    """Share of the truths within centre +- half width (PICP), 0..1.

    Args:
        error: truth - centre.
        half_width: of the same shape.
    """
    return float((np.abs(error) <= half_width).mean())


def nominal(z: float, count: int) -> float:
    """Share of new draws within mean +- z std of `count` draws of a Gaussian.

    P(|T| <= z / sqrt(1 + 1 / n)), T of Student's t with n - 1 degrees of freedom: 65.1 % for z = 1
    and n = 15, not 68.3 %.
    """
    return float(2 * student.cdf(z / np.sqrt(1 + 1 / count), count - 1) - 1)


def quantile_factor(level: float, count: int) -> float:
    """The z for which `nominal` is `level`."""
    return float(student.ppf((1 + level) / 2, count - 1) * np.sqrt(1 + 1 / count))


def rank_histogram(samples: np.ndarray, truth: np.ndarray, *, seed: int = SEED) -> np.ndarray:
    """How often the truth takes each rank among the samples, shares [n + 1] that sum to 1.

    Flat where truth and samples are draws of the same; U: too narrow, dome: too wide. Among equal
    samples the truth's rank is drawn at random (Hamill 2001).

    Args:
        samples: [n, ...].
        truth: [...].
        seed: of those ranks.
    """
    below, equal = (samples < truth).sum(0), (samples == truth).sum(0)
    ranks = below + np.random.default_rng(seed).integers(0, equal + 1)
    return np.bincount(ranks.ravel(), minlength=len(samples) + 1) / ranks.size


def rank_deviation(shares: np.ndarray) -> float:
    """Sum of |share - 1 / (n + 1)| over the ranks, 0 (flat) .. 2 (Delle Monache et al. 2006)."""
    return float(np.abs(shares - 1 / len(shares)).sum())


def fair_crps(samples: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Continuous ranked probability score of each pixel, fair to few samples (Ferro 2014).

    mean_i |x_i - y| - sum_ij |x_i - x_j| / (2 n (n - 1)); lower is better, in the unit of y.

    Args:
        samples: [n, ...], n 2 or more.
        truth: [...].
    """
    count = len(samples)
    # sum over i < j of x_(j) - x_(i) = sum of (2 i - n + 1) x_(i), i from 0
    weights = (2 * np.arange(count) - count + 1) / (count * (count - 1))
    apart = np.tensordot(weights, np.sort(samples.astype(np.float64), axis=0), 1)
    return np.abs(samples - truth).mean(0) - apart


def gaussian_crps(error: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """The same score of a Gaussian, closed form (Gneiting et al. 2005).

    sigma (z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi)), z = error / sigma.
    """
    z = error / sigma
    return sigma * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))


def spread_skill(std: np.ndarray, error: np.ndarray, count: int) -> float:
    """sqrt(mean variance (n + 1) / n) / RMSE of the mean: 1 where truth and samples are alike.

    Args:
        std: of the samples, with n - 1.
        error: truth - mean of the samples.
        count: n.
    """
    variance = np.square(std, dtype=np.float64).mean() * (count + 1) / count
    return float(np.sqrt(variance / np.square(error, dtype=np.float64).mean()))


def binned(sigma: np.ndarray, error: np.ndarray, *, bins: int = BINS) -> np.ndarray:
    """Expected and found error in bins of equal size by sigma: [bins, 2], RMS of each."""
    parts = np.array_split(_order(sigma)[::-1], bins)
    rms = [[np.sqrt(np.square(x[part]).mean()) for x in (sigma, error)] for part in parts]
    return np.array(rms)


def ence(sigma: np.ndarray, error: np.ndarray, *, bins: int = BINS) -> float:
    """Expected normalised calibration error (Levi et al. 2022), 0 is best.

    Mean over the bins of |RMS sigma - RMSE| / RMS sigma. A constant of the right size has 0, too.
    """
    found = binned(sigma, error, bins=bins)
    return float((np.abs(found[:, 0] - found[:, 1]) / np.maximum(found[:, 0], 1e-12)).mean())


def variance_scaling(error: np.ndarray, scale: np.ndarray) -> float:
    """The factor that makes a scale a standard deviation: s = sqrt(mean(error^2 / scale^2))."""
    return float(np.sqrt(np.mean(np.square(error / scale))))


def sparsification(predictor: np.ndarray, error: np.ndarray) -> np.ndarray:
    """RMSE of what is left when the most uncertain pixels are taken out, [FRACTIONS].

    The k-th value is without the share k / FRACTIONS that the predictor puts first, in units of
    the RMSE of all.
    """
    squares = np.square(error[_order(predictor)], dtype=np.float64)
    left = np.concatenate([np.cumsum(squares[::-1])[::-1], [0.0]])
    start = np.arange(FRACTIONS) * len(squares) // FRACTIONS
    return np.sqrt(left[start] / (len(squares) - start) / (left[0] / len(squares)))


def ause(predictor: np.ndarray, error: np.ndarray) -> float:
    """Area between the sparsification curves of a predictor and of |error| (Ilg et al. 2018).

    In units of the RMSE of all; 0 is best.
    """
    gap = sparsification(predictor, error) - sparsification(np.abs(error), error)
    return float(gap.mean())


def spearman(predictor: np.ndarray, error: np.ndarray) -> float:
    """Rank correlation of a predictor with |error|, -1..1; 0 of a constant."""
    first, second = (rankdata(x) for x in (predictor, np.abs(error)))
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def auroc(predictor: np.ndarray, error: np.ndarray, *, quantile: float = LARGE) -> float:
    """How often a pixel of large |error| has more of the predictor than another, 0..1.

    Area under the ROC curve by ranks (Mann and Whitney 1947); 0.5 is chance, and of a constant.
    NaN where all errors are equal.
    """
    size = np.abs(error)
    large = size > np.quantile(size, quantile)
    count, rest = int(large.sum()), int((~large).sum())
    if count == 0:
        return float("nan")
    ranks = rankdata(predictor)[large].sum()
    return float((ranks - count * (count + 1) / 2) / (count * rest))


def _order(predictor: np.ndarray) -> np.ndarray:
    """From the largest to the smallest; equal ones in a seeded random order."""
    mixed = np.random.default_rng(SEED).permutation(len(predictor))
    return mixed[np.argsort(-predictor[mixed], kind="stable")]
