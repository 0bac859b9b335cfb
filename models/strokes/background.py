"""How far each pixel's colour is from what the surroundings of a region explain, in CIELAB (Delta E 76)."""

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Bools = NDArray[np.bool_]

_BIN = 4.0
"""Edge of a cell of quantised colour; two colours of one cell can hardly be told apart by eye."""
_MAX_COLOURS = 192
_MAX_SAMPLES = 1500


def to_lab(rgb: NDArray[np.uint8]) -> Field:
    """CIELAB of an RGB crop: L 0..100, a and b about -100..100."""
    return np.asarray(cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)


def smooth_distance(lab: Field, rim: Bools) -> tuple[Field, float, float]:
    """Distance to a quadratic surface through the rim's colours.

    Least squares with trimming, so that a frame or a stray line in the rim does not bend the surface. Also returned:
    the share of the rim that the surface explains, and the spread of that share around it.
    """
    height, width = rim.shape
    ys, xs = np.nonzero(rim)
    step = max(1, len(ys) // _MAX_SAMPLES)
    ys, xs = ys[::step], xs[::step]
    colours = lab[ys, xs]
    basis = _basis(xs, ys, width, height)
    fits = [_fit(basis, colours, start) for start in _starts(colours)]
    coefficients, share, spread = max(fits, key=lambda fit: fit[1])
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    surface = _basis(columns.ravel(), rows.ravel(), width, height) @ coefficients
    distance = np.linalg.norm(lab - surface.reshape(height, width, 3), axis=2)
    return distance.astype(np.float32), share, spread


def _starts(colours: Field) -> list[Bools]:
    """What to fit first: nearly all of the rim (gradients), or only its commonest colour (a plain sign in a frame)."""
    apart = np.linalg.norm(colours - _mode(colours), axis=1)
    return [apart <= max(6.0, float(np.quantile(apart, 0.8))), apart <= 6.0]


def _fit(basis: Field, colours: Field, inside: Bools) -> tuple[Field, float, float]:
    """Coefficients, the share of ``colours`` that they explain, and the spread around it."""
    coefficients, spread = np.zeros((6, 3), np.float32), 99.0
    for _ in range(5):
        if inside.sum() < 12:
            break
        matrix = basis[inside]
        # A touch of ridge: a rim on one side only must not let the surface run away on the other.
        normal = matrix.T @ matrix + np.diag([0, 1e-3, 1e-3, 1e-2, 1e-2, 1e-2]) * len(matrix)
        coefficients = np.linalg.solve(normal, matrix.T @ colours[inside]).astype(np.float32)
        residuals = np.linalg.norm(colours - basis @ coefficients, axis=1)
        spread = float(np.median(residuals[inside]))
        inside = residuals <= max(3.0, 3.5 * spread)
    return coefficients, float(inside.mean()), spread


def palette_distance(lab: Field, rim: Bools) -> tuple[Field, float]:
    """Distance to the nearest of the rim's quantised colours, and the rim's own distance to itself (98th percentile).

    Half of the rim, in tiles, makes the palette for the other half: that tells how surprising plain background is.
    """
    height, width = rim.shape
    rows, columns = np.mgrid[0:height, 0:width]
    first = rim & ((rows // 6 + columns // 6) % 2 == 0)
    own = _nearest(lab[rim & ~first], _colours(lab[first])) if first.any() else np.zeros(1, np.float32)
    distance = _nearest(lab.reshape(-1, 3), _colours(lab[rim])).reshape(height, width)
    return distance, float(np.quantile(own, 0.98)) if own.size else 0.0


def near_main_colours(lab: Field, core: Bools, within: float) -> Bools:
    """Pixels within that distance of the one or two colours that most of ``core`` has."""
    keys, _, counts = _cells(lab[core], 8.0)
    order = np.argsort(counts)[::-1][:2]
    main = _unpack(keys[order[counts[order] >= 0.15 * counts.sum()]], 8.0)
    near = np.zeros(core.shape, bool)
    for colour in main:
        near |= np.linalg.norm(lab - colour, axis=2) <= within
    return near


def local_residual(lab: Field, known: Bools, sigma_px: float) -> tuple[Field, Field]:
    """Distance of each pixel to the blurred known pixels around it, and how large that is for known pixels nearby."""
    weight = known.astype(np.float32)
    share = cv2.GaussianBlur(weight, (0, 0), sigma_px) + 1e-6
    mean = cv2.GaussianBlur(lab * weight[..., np.newaxis], (0, 0), sigma_px) / share[..., np.newaxis]
    residual = np.linalg.norm(lab - mean, axis=2).astype(np.float32)
    noise = np.sqrt(cv2.GaussianBlur(residual**2 * weight, (0, 0), sigma_px) / share)
    return residual, noise.astype(np.float32)


def _basis(xs: NDArray[np.int64], ys: NDArray[np.int64], width: int, height: int) -> Field:
    x, y = 2 * xs / width - 1, 2 * ys / height - 1
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1).astype(np.float32)


def _mode(colours: Field) -> Field:
    """The middle of the fullest cell of colours, with its neighbours."""
    _, inverse, counts = _cells(colours, 8.0)
    return np.asarray(np.median(colours[inverse == int(counts.argmax())], axis=0), np.float32)


def _cells(colours: Field, edge: float) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    grid = np.rint(colours / edge).astype(np.int64) + 64
    keys = (grid[:, 0] << 20) | (grid[:, 1] << 10) | grid[:, 2]
    unique, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    return unique, inverse, counts


def _unpack(keys: NDArray[np.int64], edge: float) -> Field:
    grid = np.stack([keys >> 20, (keys >> 10) & 1023, keys & 1023], axis=1)
    return ((grid - 64) * edge).astype(np.float32)


def _colours(samples: Field) -> Field:
    """The commonest cells; those that hold fewer than 1 in 1000 pixels are stray."""
    keys, _, counts = _cells(samples, _BIN)
    order = np.argsort(counts)[::-1][:_MAX_COLOURS]
    frequent = order[counts[order] >= max(1, 0.001 * len(samples))]
    return _unpack(keys[frequent if len(frequent) else order], _BIN)


def _nearest(pixels: Field, colours: Field) -> Field:
    if not len(pixels):
        return np.zeros(0, np.float32)
    keys, inverse, _ = _cells(pixels, 2.0)
    points = _unpack(keys, 2.0)
    squares = (points**2).sum(1)[:, np.newaxis] - 2 * points @ colours.T + (colours**2).sum(1)
    nearest = np.sqrt(np.maximum(squares.min(1), 0))
    return np.asarray(nearest[inverse], np.float32)
