"""Images in, pictures out. NumPy and Pillow are needed only by those who use them."""

import io
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote

from iopaint_client.files import written_whole

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

ImageInput: TypeAlias = "str | PathLike[str] | bytes | Image | NDArray[Any]"
"""A path, the bytes of an image file, a PIL image, or an array of uint8: (H, W), (H, W, 3) RGB or (H, W, 4) RGBA."""


def file_of(name: str, image: ImageInput) -> tuple[str, bytes]:
    """File name and bytes. Blocking. Raises ``OSError`` for a path that cannot be read, ``TypeError``."""
    if isinstance(image, bytes | bytearray | memoryview):
        return name, bytes(image)
    if isinstance(image, str | PathLike):
        path = Path(fspath(image))
        return path.name, path.read_bytes()
    return f"{name}.png", _encoded(image)


def _encoded(image: Any) -> bytes:
    # Without importing either: who has such an object has imported its library.
    if (numpy := sys.modules.get("numpy")) is not None and isinstance(image, numpy.ndarray):
        if image.dtype not in (numpy.uint8, numpy.bool_):
            raise TypeError(f"an array of uint8 (or bool, for masks) is expected, got {image.dtype}")
        from PIL import Image

        image = Image.fromarray(image.astype("uint8") * 255 if image.dtype == numpy.bool_ else image)
    pillow = sys.modules.get("PIL.Image")
    if pillow is None or not isinstance(image, pillow.Image):
        raise TypeError(f"a path, bytes, a PIL image or a NumPy array is expected, got {type(image).__name__}")
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)  # the wire is faster than deflate
    return buffer.getvalue()


@dataclass(frozen=True, slots=True)
class Picture:
    """What the service made: ``data`` is an image file of ``media_type``."""

    data: bytes = field(repr=False)
    media_type: str
    model: str
    """Engine that did it; another than asked for by default when the default cannot work, never when named."""
    hd_strategy: str
    processing_time_s: float | None
    notes: str
    """Where less or other than asked was done; else empty."""
    request_id: str
    seed: int | None = None
    """Of a diffusion model: with it the same request gives the same pixels."""
    erased: tuple[int, int] | None = None
    """Regions whose text is gone, of those that could be judged."""

    @classmethod
    def from_answer(cls, data: bytes, headers: Mapping[str, str]) -> "Picture":
        seconds, seed, erased = (headers.get(f"x-{name}") for name in ("processing-time", "seed", "erased"))
        gone, _, judged = (erased or "").partition("/")
        return cls(
            data=data,
            media_type=headers.get("content-type", ""),
            model=unquote(headers.get("x-model", "")),
            hd_strategy=headers.get("x-hd-strategy", ""),
            processing_time_s=float(seconds) if seconds else None,
            notes=unquote(headers.get("x-notes", "")),
            request_id=headers.get("x-request-id", ""),
            seed=int(seed) if seed else None,
            erased=(int(gone), int(judged)) if judged else None,
        )

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the file as it came, whole or not at all; its format is ``media_type``, whatever the suffix says."""
        target = Path(fspath(path))
        with written_whole(target) as file:
            file.write(self.data)
        return target

    def to_pil(self) -> "Image":
        from PIL import Image

        picture = Image.open(io.BytesIO(self.data))
        picture.load()
        return picture

    def to_numpy(self) -> "NDArray[np.uint8]":
        """(H, W), (H, W, 3) RGB or (H, W, 4) RGBA."""
        import numpy as np

        return np.asarray(self.to_pil())
