"""The only reader of the environment. Every variable of the settings table is a field here, named in lower case."""

import base64
import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from models.catalog import WEIGHTS_VARIABLES
from models.engine import Precision
from models.errors import TextRemovalError
from models.registry import is_known, known_models

Device = Literal["cpu", "cuda", "mps"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


def default_archive_dir() -> Path:
    """The user's state folder, by the XDG base directory specification's default."""
    return Path.home() / ".local" / "state" / "iopaint-serve" / "tasks"


def _keys_in(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return ()
    return tuple(key for line in lines if (key := line.partition("#")[0].strip()))


GUARD_VARIABLE, GUARD = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH", "ingress.edge:guard"


def guard_is_on() -> bool:
    """Whether Serve's proxies have ours in front; asked where a replica runs, since the node decides it, not the client
    that deploys."""
    return os.environ.get(GUARD_VARIABLE) == GUARD


_SECRETS = frozenset({"API_KEYS", "CALLBACK_SECRET"})


class WrongSetting(TextRemovalError):
    """A value that is not allowed; ``details["variable"]`` names where. Of a secret the message does not tell it."""


def weights_sources() -> dict[str, str]:
    """IOPaint's variables that say where weights come from; an empty ``*_MD5``: they are not checked."""
    given = {name: value for name in WEIGHTS_VARIABLES if (value := os.environ.get(name)) is not None}
    return {name: value for name, value in given.items() if value or name.endswith("_MD5")}


def from_environment() -> "Settings":
    """Raises ``WrongSetting``."""
    try:
        return Settings.model_validate({})
    except ValidationError as error:
        first = error.errors()[0]
        variable = str(first["loc"][0]).upper() if first["loc"] else "settings"
        value = "(hidden)" if variable in _SECRETS else repr(first["input"])
        raise WrongSetting(f"{variable}={value} is not allowed: {first['msg']}.", variable=variable) from None


class Settings(BaseSettings):
    """A variable set where the application is built beats the YAML's ``args``, which beat the default."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, env_ignore_empty=False, populate_by_name=True)

    iopaint_host: str = Field("0.0.0.0", description="Address to listen on.")
    iopaint_port: int = Field(8081, ge=1, le=65535, description="Port to listen on.")
    iopaint_model: str = Field("lama", min_length=1, description="Default model.")
    iopaint_device: Device = Field("cpu", description="Where models run: cpu, cuda or mps.")
    iopaint_low_mem: bool = Field(True, description="Low-memory mode of the diffusion models.")
    iopaint_cpu_offload: bool = Field(True, description="Diffusion models leave the GPU between their parts.")
    iopaint_fallback_model: str = Field("classic", description="Answers while the default model cannot; empty: none.")
    iopaint_models: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Models that clients may name, comma separated; empty: default, fallback, weightless ones."
    )
    iopaint_fake_unit_s: float = Field(
        0.05, ge=0, le=60, description="Seconds that one unit of the `fake` engine takes (demonstrations, load tests)."
    )
    iopaint_threads: int = Field(0, ge=0, description="CPU threads of one replica's engine; 0: the cores it may use.")
    iopaint_precision: Precision = Field(
        "auto",
        description="Of LaMa's convolutions: auto (bfloat16 where the hardware is fast at it), float32, bfloat16 "
        "(float32, and a note, on a processor that has none).",
    )
    iopaint_max_batch: int = Field(
        0, ge=0, description="Windows, of one request or several, that `lama` fills in one pass at most. "
        "0: one on a CPU, as many as memory allows (16 at most) on a GPU.",
    )  # fmt: skip
    max_image_size: int = Field(
        2048, ge=64, description="Longest side, in pixels, of one pass of an engine; larger images run in windows."
    )
    max_file_size: int = Field(52_428_800, ge=1, description="Bytes of one decoded file.")
    max_pixels: int = Field(
        64_000_000, ge=1, le=178_956_970, description="Pixels of an image; read from the header before decoding."
    )
    max_regions: int = Field(1000, ge=1, description="Regions in one request.")
    max_polygon_points: int = Field(10_000, ge=3, description="Corners of all polygons of one request.")
    max_batch_items: int = Field(100, ge=1, description="Items of one batch.")
    max_batch_bytes: int = Field(536_870_912, ge=1, description="Bytes of all decoded files of one batch.")
    max_queued_tasks: int = Field(1000, ge=1, description="Tasks waiting; one more is refused with 429.")
    max_tasks_per_client: int = Field(
        0,
        ge=0,
        description="Tasks of one key (without keys: address) that have not ended; one more is 429; 0: no bound.",
    )
    requests_per_minute: int = Field(
        0, ge=0, description="Calls that bring work, for each key (or address) and ingress replica; 0: no bound."
    )
    max_inflight_bytes: int = Field(
        2_147_483_648, ge=1, description="Bytes of all bodies that an ingress replica holds; beyond it 503."
    )
    max_websockets_per_client: int = Field(
        200, ge=1, description="WebSockets of one key (or address) on one ingress replica."
    )
    max_concurrent_calls: int = Field(
        192,
        ge=1,
        # Less than Inpainter's max_queued_requests: what is refused further inside has cost its whole body.
        description="Calls with work in progress at one HTTP proxy; one more is 503 before it is read.",
    )
    request_timeout: float = Field(300, gt=0, description="Seconds after which a synchronous call ends with 504.")
    upload_idle_timeout: float = Field(
        30,
        gt=0,
        description="Seconds for all headers of a request, without a byte of its body (408), or of a stalled reader.",
    )
    log_level: LogLevel = Field("INFO", description="DEBUG, INFO, WARNING, ERROR or CRITICAL.")
    log_format: Literal["text", "json"] = Field(
        "text", description="Of the lines on standard error: text, or json (one object a line; in the image)."
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(("*",), description="Allowed origins, comma separated.")
    hd_strategy: Literal["", "Original", "Crop", "Resize", "Auto"] = Field(
        "", description="Overrules the strategy that clients send; empty: as the client says."
    )
    default_mask_mode: Literal["box", "strokes", "auto"] = Field(
        "box", description="What of a region is replaced when a client does not say: box, strokes or auto."
    )
    model_dir: Path | None = Field(None, description="Folder with weights files; searched first, and downloaded to.")
    model_memory_bytes: int = Field(
        0, ge=0, description="Bytes that a replica's loaded models may hold; beyond it the least recently used goes. "
        "0: half of the memory (of the container, or the machine), or four fifths of the GPU's.",
    )  # fmt: skip
    job_memory_bytes: int = Field(
        0, ge=0, description="Bytes that the pictures of a replica's jobs, with their regions, may need; further jobs "
        "wait. 0: two fifths of the memory.",
    )  # fmt: skip
    weights_sources: dict[str, str] = Field(
        {}, description="IOPaint's `..._MODEL_URL` and `..._MODEL_MD5`, each a variable of its own (or all as JSON)."
    )
    task_archive_url: str = Field("", description="Folder or URL where tasks are kept; empty: the user's state folder.")
    task_archive_max_bytes: int = Field(
        0, ge=0, description="Beyond so many bytes the oldest results go before their time; 0: no bound."
    )
    task_retention_s: float = Field(86_400, gt=0, description="Seconds for which a finished task's result is kept.")
    callback_secret: str = Field("", description="Signs callbacks (Standard Webhooks); empty: unsigned.")
    callback_allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Where callbacks may go: names, *.wildcards, networks, comma separated; empty: not loopback."
    )
    playground: Literal["on", "off"] = Field("on", description="The web page at `/playground`: on or off.")
    api_keys: Annotated[tuple[str, ...], NoDecode] = Field(
        (), repr=False, description="Keys that clients must send, comma separated; empty: none is needed."
    )
    api_keys_file: Path | None = Field(None, description="File with further keys, one a line; `#` begins a comment.")
    public_url: str = Field("", description="Base URL for links in answers; empty: from the request's headers.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment beats the arguments (the YAML's ``args``); nothing else is read."""
        sources = weights_sources()
        theirs = InitSettingsSource(settings_cls, {"weights_sources": sources} if sources else {})
        return theirs, env_settings, init_settings

    @field_validator("iopaint_models", "cors_origins", "callback_allowed_hosts", "api_keys", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("iopaint_model", "iopaint_fallback_model", "iopaint_models")
    @classmethod
    def _known(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        names = (value,) if isinstance(value, str) else value
        if unknown := [name for name in names if name and not is_known(name)]:
            raise ValueError(f"unknown model {unknown[0]!r}; known are {', '.join(known_models())}")
        return value

    @field_validator("playground", mode="before")
    @classmethod
    def _switch(cls, value: object) -> object:
        # YAML reads a bare on or off as a boolean.
        return ("on" if value else "off") if isinstance(value, bool) else value

    @field_validator("api_keys_file")
    @classmethod
    def _has_keys(cls, value: Path | None) -> Path | None:
        # An empty file would silently open the service.
        if value is not None and not _keys_in(value):
            raise ValueError("a readable file with at least one key is expected")
        return value

    def all_api_keys(self) -> tuple[str, ...]:
        """Of the variable and of the file."""
        return self.api_keys + (_keys_in(self.api_keys_file) if self.api_keys_file else ())

    @field_validator("callback_secret")
    @classmethod
    def _is_key(cls, value: str) -> str:
        # Checked here: the tracker, which signs with it, could not say why it does not start.
        try:
            base64.b64decode(value.removeprefix("whsec_"), validate=True)
        except ValueError:
            raise ValueError("base64 is expected, with or without whsec_ before it (openssl rand -base64 24)") from None
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value
