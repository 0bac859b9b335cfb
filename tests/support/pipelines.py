"""Tiny Stable Diffusion pipelines with random values, saved in the folder format of diffusers."""

import importlib
import json
from pathlib import Path
from typing import Any

import torch


def _library(name: str) -> Any:
    """Untyped, and heavy: imported when needed."""
    return importlib.import_module(name)


def save_sd(folder: Path, seed: int = 0) -> Path:
    """``StableDiffusionInpaintPipeline``: 9 input channels, prompts of 77 tokens, a VAE that shrinks eightfold."""

    torch.manual_seed(seed)
    return _save_sd(folder, _unet(cross_attention_dim=32), _vae(), _text_encoder())


def save_published_sd(folder: Path) -> Path:
    """With the widths and depths of Stable Diffusion 1.5's inpainting model (Rombach et al. 2022): 2 GB in float16.

    Only its tokenizer is the small one, whose words all have a place in the large one's table.
    """
    diffusers, transformers = _library("diffusers"), _library("transformers")
    unet = diffusers.UNet2DConditionModel(sample_size=64, in_channels=9, cross_attention_dim=768)
    vae = _vae((128, 256, 512, 512), layers=2, norm_groups=32)
    text_encoder = transformers.CLIPTextModel(
        transformers.CLIPTextConfig(
            hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12
        )
    )
    return _save_sd(folder, *(part.half() for part in (unet, vae, text_encoder)))


def _save_sd(folder: Path, unet: Any, vae: Any, text_encoder: Any) -> Path:
    pipe = _library("diffusers").StableDiffusionInpaintPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=_tokenizer(folder),
        unet=unet,
        scheduler=_library("diffusers").DDIMScheduler(**_SCHEDULE, steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(folder)
    return folder


def save_sdxl(folder: Path, seed: int = 0) -> Path:
    """``StableDiffusionXLInpaintPipeline`` with its two text encoders."""

    torch.manual_seed(seed)
    pipe = _library("diffusers").StableDiffusionXLInpaintPipeline(
        vae=_vae(),
        text_encoder=_text_encoder(),
        text_encoder_2=_text_encoder(projection=True),
        tokenizer=_tokenizer(folder),
        tokenizer_2=_tokenizer(folder),
        unet=_unet(
            cross_attention_dim=64,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + 32,
        ),
        scheduler=_library("diffusers").EulerDiscreteScheduler(**_SCHEDULE, steps_offset=1),
    )
    pipe.save_pretrained(folder)
    return folder


_SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def _unet(**extra: object) -> Any:

    return _library("diffusers").UNet2DConditionModel(
        sample_size=64,
        in_channels=9,
        out_channels=4,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        **extra,
    )


def _vae(widths: tuple[int, ...] = (4, 4, 8, 8), layers: int = 1, norm_groups: int = 4) -> Any:
    return _library("diffusers").AutoencoderKL(
        block_out_channels=widths,
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        latent_channels=4,
        layers_per_block=layers,
        norm_num_groups=norm_groups,
        sample_size=512,
    )


def _text_encoder(projection: bool = False) -> Any:
    config = _library("transformers").CLIPTextConfig(
        vocab_size=514, hidden_size=32, intermediate_size=37, num_hidden_layers=2, num_attention_heads=4,
        projection_dim=32, bos_token_id=512, eos_token_id=513, pad_token_id=513,
    )  # fmt: skip
    return getattr(_library("transformers"), "CLIPTextModelWithProjection" if projection else "CLIPTextModel")(config)


def _tokenizer(folder: Path) -> Any:
    """CLIP's kind, with bytes for words: no merges, so that every prompt is spelled out."""

    folder.mkdir(parents=True, exist_ok=True)
    letters = list(_library("transformers.models.clip.tokenization_clip").bytes_to_unicode().values())
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary, merges = folder / "vocab.json", folder / "merges.txt"
    vocabulary.write_text(json.dumps({word: number for number, word in enumerate(words)}))
    merges.write_text("#version: 0.2\n")
    tokenizer = _library("transformers").CLIPTokenizer(str(vocabulary), str(merges), model_max_length=77)
    vocabulary.unlink()
    merges.unlink()
    return tokenizer
