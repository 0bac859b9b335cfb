"""Normalised convolution of the first order (Knutsson and Westin, "Normalized and differential convolution", 1993)."""

import cv2
import numpy as np
from numpy.typing import NDArray

from models.engine import Image

_WIDEST_PX = 32.0
"""Of the weights' sigma."""


def local_plane(
    image: Image, unknown: NDArray[np.bool_], sigma: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Values ``(H, W, 3)`` everywhere, and how much was known about each pixel, ``(H, W)``, 0 to 1.

    ``image``: RGB uint8 ``(H, W, 3)``; ``unknown`` ``(H, W)`` is never read; ``sigma``: of the weights, in pixels.
    """
    certainty = (~unknown).astype(np.float32)
    signal = image.astype(np.float32) * certainty[:, :, None]
    while sigma > _WIDEST_PX:
        # So smooth a surface loses nothing on a shrunk copy, and its weights would have ever more taps.
        certainty, signal, sigma = _halved(certainty), _halved(signal), sigma / 2
    reach = 2 * int(np.ceil(2.5 * sigma)) + 1
    taps = np.asarray(cv2.getGaussianKernel(reach, sigma, cv2.CV_32F), np.float32)
    ramp = (np.arange(reach, dtype=np.float32) - reach // 2)[:, None] / np.float32(sigma)

    def blur(array: NDArray[np.float32], kx: NDArray[np.float32], ky: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(cv2.sepFilter2D(array, cv2.CV_32F, kx, ky, borderType=cv2.BORDER_CONSTANT), np.float32)

    kernels = taps, np.asarray(taps * ramp, np.float32), np.asarray(taps * ramp * ramp, np.float32)
    g, gx, _ = kernels
    moments = {(a, b): blur(certainty, kernels[a], kernels[b]) for a in range(3) for b in range(3 - a)}
    m, mx, my = moments[0, 0], moments[1, 0], moments[0, 1]
    mxx, myy, mxy = moments[2, 0], moments[0, 2], moments[1, 1]
    f, fx, fy = blur(signal, g, g), blur(signal, gx, g), blur(signal, g, gx)
    # The 3x3 normal equations, solved for the constant term; a little of the identity keeps them solvable.
    ridge = np.float32(0.02) * m + np.float32(1e-6)
    mxx, myy = mxx + ridge, myy + ridge
    c0, c1, c2 = mxx * myy - mxy * mxy, my * mxy - mx * myy, mx * mxy - my * mxx
    determinant = m * c0 + mx * c1 + my * c2
    numerator = c0[:, :, None] * f + c1[:, :, None] * fx + c2[:, :, None] * fy
    estimate = numerator / np.maximum(determinant, 1e-9)[:, :, None]
    return np.clip(_enlarged(estimate, unknown.shape), 0, 255), _enlarged(m, unknown.shape)


def _enlarged(array: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    same = array.shape[:2] == shape
    return array if same else np.asarray(cv2.resize(array, (shape[1], shape[0])), np.float32)


def _halved(array: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = array.shape[:2]
    return np.asarray(cv2.resize(array, (-(-width // 2), -(-height // 2)), interpolation=cv2.INTER_AREA), np.float32)
