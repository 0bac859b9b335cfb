"""What IOPaint 1.6.0 can run, as names: nothing heavy is imported, so that settings are checked quickly."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EraseModel:
    """``module`` and ``class_name`` in ``iopaint.model``; ``files``: prefixes of the module's ``*_URL`` and ``*_MD5``
    constants, the main file first.
    """

    module: str
    class_name: str
    files: tuple[str, ...]


ERASE: dict[str, EraseModel] = {
    "lama": EraseModel("lama", "LaMa", ("LAMA_MODEL",)),
    "anime-lama": EraseModel("lama", "AnimeLaMa", ("ANIME_LAMA_MODEL",)),
    "ldm": EraseModel("ldm", "LDM", ("LDM_ENCODE_MODEL", "LDM_DECODE_MODEL", "LDM_DIFFUSION_MODEL")),
    "zits": EraseModel(
        "zits",
        "ZITS",
        ("ZITS_INPAINT_MODEL", "ZITS_EDGE_LINE_MODEL", "ZITS_STRUCTURE_UPSAMPLE_MODEL", "ZITS_WIRE_FRAME_MODEL"),
    ),
    "mat": EraseModel("mat", "MAT", ("MAT_MODEL",)),
    "fcf": EraseModel("fcf", "FcF", ("FCF_MODEL",)),
    "manga": EraseModel("manga", "Manga", ("MANGA_INPAINTOR_MODEL", "MANGA_LINE_MODEL")),
    "migan": EraseModel("mi_gan", "MIGAN", ("MIGAN_MODEL",)),
}

SEEDED = ("ldm", "mat")
"""Those whose pixels depend on random numbers, beside the diffusion models."""

WEIGHTS_VARIABLES = tuple(
    f"{prefix}_{kind}" for model in ERASE.values() for prefix in model.files for kind in ("URL", "MD5")
)
"""IOPaint's environment variables that say where weights come from and what their MD5 is."""

DIFFUSION = (
    "runwayml/stable-diffusion-inpainting",
    "stabilityai/stable-diffusion-2-inpainting",
    "diffusers/stable-diffusion-xl-1.0-inpainting-0.1",
    "Sanster/anything-4.0-inpainting",
    "Sanster/Realistic_Vision_V1.4-inpainting",
    "andregn/Realistic_Vision_V3.0-inpainting",
    "Uminosachi/realisticVisionV51_v51VAE-inpainting",
    "redstonehero/dreamshaper-inpainting",
    "redstonehero/ReV_Animated_Inpainting",
    "RunDiffusion/Juggernaut-XI-v11",
    "SG161222/RealVisXL_V5.0",
    "eienmojiki/Anything-XL",
)
"""The Stable Diffusion repositories that IOPaint and its documentation name. Any other of the same pipelines runs,
too, under its own name."""

SAMPLERS = (
    "DPM++ 2M",
    "DPM++ 2M Karras",
    "DPM++ 2M SDE",
    "DPM++ 2M SDE Karras",
    "DPM++ SDE",
    "DPM++ SDE Karras",
    "DPM2",
    "DPM2 Karras",
    "DPM2 a",
    "DPM2 a Karras",
    "Euler",
    "Euler a",
    "Heun",
    "LMS",
    "LMS Karras",
    "DDIM",
    "PNDM",
    "UniPC",
    "LCM",
)
"""IOPaint's ``SDSampler``."""
LDM_SAMPLERS = ("ddim", "plms")
LDM_MAX_STEPS = 500
"""IOPaint's schedule of 1000 steps has a last one that does not exist when more than half of them are asked for."""

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def holds_weights(name: str) -> bool:
    """Whether loading it takes time and memory."""
    return name in ERASE or is_diffusion(name)


def is_diffusion(name: str) -> bool:
    """Whether it is ``owner/name``, as Hugging Face calls a repository and as folders in ``MODEL_DIR`` are named."""
    return _REPOSITORY.fullmatch(name) is not None and ".." not in name
