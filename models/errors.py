"""The root of the one error family, and the errors of image work.

Every error crosses process borders: one positional message, extras as keywords in ``details``, and nothing is
formatted in ``__init__``, so that pickling gives back the same object. ``code`` is stable and part of the wire
contract; which HTTP status it becomes is the ingress's business alone.
"""

from typing import Any, ClassVar


class TextRemovalError(Exception):
    """Base of all errors that a client may see. ``message`` is one sentence that a person understands."""

    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.details)


def _rebuild(cls: type[TextRemovalError], message: str, details: dict[str, Any]) -> TextRemovalError:
    return cls(message, **details)


class InvalidImage(TextRemovalError):
    """The bytes are not an image, or a broken one."""

    code = "invalid_image"


class UnsupportedFormat(TextRemovalError):
    """An image format that is not on the allow-list."""

    code = "unsupported_format"


class ImageTooLarge(TextRemovalError):
    """More pixels or bytes than the limits allow."""

    code = "image_too_large"


class InvalidField(TextRemovalError):
    """A field's value is wrong; ``details["field"]`` names it, e.g. ``regions[2].width``."""

    code = "invalid_field"


class UnknownModel(InvalidField):
    """A model name that this service does not offer."""

    code = "unknown_model"


class ModelUnavailable(TextRemovalError):
    """The model is known, but its weights cannot be had now."""

    code = "model_unavailable"


class MemoryShort(TextRemovalError):
    """There is not the memory for this work now."""

    code = "memory_short"


class DetectorUnavailable(TextRemovalError):
    """Text cannot be found by itself: the detector, or a package that it needs, is not there."""

    code = "detector_unavailable"


class WorkCancelled(TextRemovalError):
    """Work stopped between two units because ``should_stop`` said so."""

    code = "cancelled"
