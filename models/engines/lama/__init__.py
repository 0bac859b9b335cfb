"""LaMa's generator of our own: the same parameters, several times the speed of the TorchScript file.

Suvorov et al. 2022, "Resolution-robust Large Mask Inpainting with Fourier Convolutions"; Chi et al. 2020, "Fast
Fourier Convolution". Inference only, without the variants that the published big-lama does not use (no local
Fourier unit, no gates).
"""
