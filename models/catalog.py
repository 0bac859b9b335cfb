"""What IOPaint 1.6.0 can run, as names: nothing heavy is imported, so that settings are checked quickly."""

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EraseModel:
    """``module`` and ``class_name`` in ``iopaint.model``; ``files``: by prefix of the module's ``*_URL`` and ``*_MD5``
    constants, what these are: below ``_RELEASES`` and in hexadecimal digits. The main file comes first.
    """

    module: str
    class_name: str
    files: Mapping[str, tuple[str, str]]

    def published(self, prefix: str) -> tuple[str, str]:
        """The URL and the MD5 of a file, as IOPaint has them."""
        path, md5 = self.files[prefix]
        return _RELEASES + path, md5


_RELEASES = "https://github.com/Sanster/models/releases/download/"

# A copy, so that a replica of LaMa, and whoever only asks which files there are, need not import all of IOPaint, which
# takes ten seconds and a quarter of a gigabyte.
ERASE: dict[str, EraseModel] = {
    "lama": EraseModel(
        "lama", "LaMa", {"LAMA_MODEL": ("add_big_lama/big-lama.pt", "e3aa4aaa15225a33ec84f9f4bc47e500")}
    ),
    "anime-lama": EraseModel(
        "lama",
        "AnimeLaMa",
        {"ANIME_LAMA_MODEL": ("AnimeMangaInpainting/anime-manga-big-lama.pt", "29f284f36a0a510bcacf39ecf4c4d54f")},
    ),
    "ldm": EraseModel(
        "ldm",
        "LDM",
        {
            "LDM_ENCODE_MODEL": ("add_ldm/cond_stage_model_encode.pt", "23239fc9081956a3e70de56472b3f296"),
            "LDM_DECODE_MODEL": ("add_ldm/cond_stage_model_decode.pt", "fe419cd15a750d37a4733589d0d3585c"),
            "LDM_DIFFUSION_MODEL": ("add_ldm/diffusion.pt", "b0afda12bf790c03aba2a7431f11d22d"),
        },
    ),
    "zits": EraseModel(
        "zits",
        "ZITS",
        {
            "ZITS_INPAINT_MODEL": ("add_zits/zits-inpaint-0717.pt", "9978cc7157dc29699e42308d675b2154"),
            "ZITS_EDGE_LINE_MODEL": ("add_zits/zits-edge-line-0717.pt", "55e31af21ba96bbf0c80603c76ea8c5f"),
            "ZITS_STRUCTURE_UPSAMPLE_MODEL": (
                "add_zits/zits-structure-upsample-0717.pt",
                "3d88a07211bd41b2ec8cc0d999f29927",
            ),
            "ZITS_WIRE_FRAME_MODEL": ("add_zits/zits-wireframe-0717.pt", "a9727c63a8b48b65c905d351b21ce46b"),
        },
    ),
    "mat": EraseModel(
        "mat", "MAT", {"MAT_MODEL": ("add_mat/Places_512_FullData_G.pth", "8ca927835fa3f5e21d65ffcb165377ed")}
    ),
    "fcf": EraseModel("fcf", "FcF", {"FCF_MODEL": ("add_fcf/places_512_G.pth", "3323152bc01bf1c56fd8aba74435a211")}),
    "manga": EraseModel(
        "manga",
        "Manga",
        {
            "MANGA_INPAINTOR_MODEL": ("manga/manga_inpaintor.jit", "7d8b269c4613b6b3768af714610da86c"),
            "MANGA_LINE_MODEL": ("manga/erika.jit", "0c926d5a4af8450b0d00bc5b9a095644"),
        },
    ),
    "migan": EraseModel(
        "mi_gan", "MIGAN", {"MIGAN_MODEL": ("migan/migan_traced.pt", "76eb3b1a71c400ee3290524f7a11b89c")}
    ),
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
