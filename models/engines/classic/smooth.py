"""Fills for what is smooth: one surface, a local surface, OpenCV's diffusion, the least-bent membrane.

Each takes a picture, RGB uint8 ``(H, W, 3)``, and what is unknown of it, bool ``(H, W)``, and returns the values of the
unknown pixels, float32 ``(N, 3)``, in the order of ``np.nonzero(unknown)``. Unknown pixels are never read.
"""

import cv2
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.linalg import solveh_banded
from scipy.sparse.csgraph import reverse_cuthill_mckee
from scipy.sparse.linalg import splu

from models.engine import Image
from models.engines.classic.local_plane import local_plane

Unknown = NDArray[np.bool_]
Values = NDArray[np.float32]

_FIT_POINTS = 2000
_SURFACE_REACH_PX = 12
_CV2_RADIUS_PX = 4
_WIDEST_BAND = 150
_LARGEST_BAND = 4_000_000
"""Numbers in a band matrix: 32 MB."""


def surface(image: Image, unknown: Unknown) -> Values:
    """One quadratic surface through the known pixels near the holes. Exact for flat and evenly shaded grounds."""
    size = 2 * _SURFACE_REACH_PX + 1
    near = cv2.dilate(unknown.astype(np.uint8), np.ones((size, size), np.uint8)) > 0
    rows, columns = np.nonzero(near & ~unknown)
    return surface_at(unknown, fit_surface(image, rows, columns))


def surface_at(unknown: Unknown, solution: NDArray[np.float64]) -> Values:
    rows, columns = np.nonzero(unknown)
    return (quadratic(rows, columns, unknown.shape) @ solution).astype(np.float32)


def fit_surface(image: Image, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.float64]:
    """Coefficients, shape ``(6, 3)``, of the quadratic surface through the pixels of those rows and columns.

    Robust (iteratively reweighted, Tukey's biweight): a neighbouring frame or specks do not bend it.
    """
    step = max(1, len(rows) // _FIT_POINTS)
    rows, columns = rows[::step], columns[::step]
    basis = quadratic(rows, columns, image.shape)
    known = image[rows, columns].astype(np.float64)
    weights = np.ones(len(rows))
    for _ in range(6):
        weighted = basis * weights[:, None]
        solution = np.linalg.lstsq(weighted.T @ basis, weighted.T @ known, rcond=None)[0]
        residual = np.sqrt(((known - basis @ solution) ** 2).mean(axis=1))
        scale = max(4.685 * 1.4826 * float(np.median(residual)), 1.0)
        weights = np.where(residual < scale, (1 - (residual / scale) ** 2) ** 2, 0.0)
    return np.asarray(solution)


def quadratic(rows: NDArray[np.intp], columns: NDArray[np.intp], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The surface's terms at those pixels of a picture of that shape, ``(N, 6)``."""
    y, x = rows / shape[0] - 0.5, columns / shape[1] - 0.5
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)


def local_surface(image: Image, unknown: Unknown, sigma_px: float) -> Values:
    """A plane through the known pixels around each unknown one, weighted by a Gaussian.

    Normalised convolution of the first order (Knutsson and Westin, "Normalized and differential convolution", 1993).
    It averages noise away where an interpolation would carry it into the hole. Where too little is known within reach,
    the reach is doubled.
    """
    rows, columns = np.nonzero(unknown)
    values = np.zeros((len(rows), 3), np.float32)
    left = np.arange(len(rows))
    sigma = sigma_px
    while len(left):
        estimate, weight = local_plane(image, unknown, sigma)
        enough = weight[rows[left], columns[left]] > 0.02
        if sigma > 2 * max(unknown.shape):
            enough[:] = True
        done, left = left[enough], left[~enough]
        values[done] = estimate[rows[done], columns[done]]
        sigma *= 2
    return values


def navier_stokes(image: Image, unknown: Unknown) -> Values:
    """OpenCV's (Bertalmio et al. 2001), what IOPaint's ``cv2`` runs."""
    return _opencv(image, unknown, cv2.INPAINT_NS)


def telea(image: Image, unknown: Unknown) -> Values:
    """OpenCV's fast marching (Telea 2004)."""
    return _opencv(image, unknown, cv2.INPAINT_TELEA)


def _opencv(image: Image, unknown: Unknown, flag: int) -> Values:
    filled = cv2.inpaint(np.ascontiguousarray(image), unknown.astype(np.uint8) * 255, _CV2_RADIUS_PX, flag)
    return np.asarray(filled)[unknown].astype(np.float32)


def biharmonic(image: Image, unknown: Unknown) -> Values:
    """The membrane that bends least: minimises the squared Laplacian over the hole and its rim.

    The same functional as scikit-image's ``inpaint_biharmonic`` (Chui and Mhaskar 2010), assembled as one sparse
    least-squares problem, so that a text line takes milliseconds.
    """
    height, width = unknown.shape
    touched = cv2.dilate(unknown.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))) > 0
    number = np.full(height * width, -1, np.int64)
    holes = np.flatnonzero(unknown)
    number[holes] = np.arange(len(holes))
    centres = np.flatnonzero(touched)
    rows_of, columns_of = np.divmod(centres, width)
    equation = np.arange(len(centres))
    degree = np.zeros(len(centres))
    at, unknown_at, weight = [], [], []
    known = image.reshape(-1, 3).astype(np.float64)
    right = np.zeros((len(centres), 3))

    def add(which: NDArray[np.bool_], pixel: NDArray[np.int64], factor: NDArray[np.float64]) -> None:
        index = number[pixel]
        hole = index >= 0
        at.append(equation[which][hole])
        unknown_at.append(index[hole])
        weight.append(factor[hole])
        right[equation[which][~hole]] -= factor[~hole, None] * known[pixel[~hole]]

    for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        y, x = rows_of + dy, columns_of + dx
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        degree += inside
        add(inside, (y * width + x)[inside], np.ones(int(inside.sum())))
    add(np.ones(len(centres), bool), centres, -degree)
    matrix = sp.csc_matrix(
        (np.concatenate(weight), (np.concatenate(at), np.concatenate(unknown_at))), (len(centres), len(holes))
    )
    normal = (matrix.T @ matrix + 1e-9 * sp.identity(len(holes))).tocsr()
    values: Values = np.clip(_solved(normal, matrix.T @ right), 0, 255).astype(np.float32)
    return values


def _solved(matrix: sp.csr_matrix, right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of a symmetric positive definite system. Thin holes make narrow bands, which LAPACK solves thrice as fast."""
    order = reverse_cuthill_mckee(matrix, symmetric_mode=True)
    ordered = matrix[order][:, order].tocoo()
    lower = ordered.row >= ordered.col
    offset, column = (ordered.row - ordered.col)[lower], ordered.col[lower]
    width = int(offset.max(initial=0)) + 1
    solution = np.empty_like(right)
    if width <= _WIDEST_BAND and width * len(order) <= _LARGEST_BAND:
        band = np.zeros((width, len(order)))
        band[offset, column] = ordered.data[lower]
        solution[order] = solveh_banded(band, right[order], lower=True, overwrite_ab=True, check_finite=False)
    else:
        solver = splu(
            matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
        )
        solution[:] = solver.solve(right)
    return solution
