"""A file for each of IOPaint's erase models: its real architecture where it has a class, else a module with the
signature of its TorchScript file; random values.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from tests.support.weights import TinyLama, TinyLine, TinyManga, save


class LdmEncoder(nn.Module):
    """To a quarter of the size, three channels."""

    def forward(self, image: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(image, 4)


class LdmDecoder(nn.Module):
    def forward(self, latent: Tensor) -> Tensor:
        return nn.functional.interpolate(latent, scale_factor=4.0, mode="nearest")


class LdmDiffusion(nn.Module):
    """Noise, an embedding of the time, and the condition: the encoded image and the mask."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(7, 3, 1)
        self.time = nn.Linear(256, 3)

    def forward(self, noisy: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        mixed: Tensor = self.conv(torch.cat([noisy, condition], dim=1))
        shift: Tensor = self.time(time)
        return mixed + shift[:, :, None, None]


class ZitsWireframe(nn.Module):
    """Lines in a 512-pixel picture, from 0 to 1, and how sure they are."""

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        lines = torch.tensor([[0.1, 0.1, 0.6, 0.7], [0.2, 0.8, 0.9, 0.3]])
        return {"num_proposals": torch.tensor(2), "lines_pred": lines, "lines_score": torch.tensor([0.95, 0.4])}


class ZitsEdgeLine(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(5, 2, 3, padding=1)

    def forward(self, image: Tensor, edge: Tensor, line: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.conv(torch.cat([image, edge, line], dim=1)) * masks
        return logits[:, :1], logits[:, 1:]


class ZitsUpsample(nn.Module):
    def forward(self, edge: Tensor) -> Tensor:
        return nn.functional.interpolate(edge, scale_factor=2.0, mode="bilinear")


class ZitsInpaint(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(11, 3, 3, padding=1)

    def forward(
        self, image: Tensor, mask: Tensor, edge: Tensor, line: Tensor, rel_pos: Tensor, direct: Tensor
    ) -> Tensor:
        near = rel_pos[:, None].to(image.dtype) / 128
        known = torch.cat([image * (1 - mask), mask, edge, line, near, direct.permute(0, 3, 1, 2).float()], dim=1)
        return torch.sigmoid(self.conv(known))


class Migan(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 3, 5, padding=2)

    def forward(self, known: Tensor) -> Tensor:
        return torch.tanh(self.conv(known))


_SCRIPTED: dict[str, type[nn.Module]] = {
    "big-lama.pt": TinyLama,
    "anime-manga-big-lama.pt": TinyLama,
    "cond_stage_model_encode.pt": LdmEncoder,
    "cond_stage_model_decode.pt": LdmDecoder,
    "diffusion.pt": LdmDiffusion,
    "zits-wireframe-0717.pt": ZitsWireframe,
    "zits-edge-line-0717.pt": ZitsEdgeLine,
    "zits-structure-upsample-0717.pt": ZitsUpsample,
    "zits-inpaint-0717.pt": ZitsInpaint,
    "manga_inpaintor.jit": TinyManga,
    "erika.jit": TinyLine,
    "migan_traced.pt": Migan,
}


def save_ldm(folder: Path) -> Path:
    for name, module in _SCRIPTED.items():
        if module in (LdmEncoder, LdmDecoder, LdmDiffusion):
            save(module(), folder / name)
    return folder


def save_all(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, module) in enumerate(_SCRIPTED.items()):
        torch.manual_seed(seed)
        save(module(), folder / name, seed)
    torch.manual_seed(7)
    save_mat(folder)
    save_fcf(folder)
    return folder


def save_mat(folder: Path) -> None:
    """As IOPaint's ``MAT`` makes it: the file has to fit all of it."""
    from iopaint.model.mat import Generator

    made: nn.Module = Generator(
        z_dim=512, c_dim=0, w_dim=512, img_resolution=512, img_channels=3, mapping_kwargs={"torch_dtype": torch.float32}
    )
    torch.save(made.state_dict(), folder / "Places_512_FullData_G.pth")


def save_fcf(folder: Path) -> None:
    """As IOPaint's ``FcF`` makes it."""
    from iopaint.model.fcf import Generator

    widths = {"channel_base": 1 * 32768, "channel_max": 512, "num_fp16_res": 4, "conv_clamp": 256}
    made: nn.Module = Generator(
        z_dim=512, c_dim=0, w_dim=512, img_resolution=512, img_channels=3,
        synthesis_kwargs=widths, encoder_kwargs=widths, mapping_kwargs={"num_layers": 2},
    )  # fmt: skip
    torch.save(made.state_dict(), folder / "places_512_G.pth")
