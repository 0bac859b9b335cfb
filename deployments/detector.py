"""The replica that finds text: pictures in as files, lines out. On the CPU, apart from the engines.

Detection has a deployment of its own because it scales by other figures than inpainting: it needs no GPU, and many
requests need none of it.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from deployments.config import DetectorConfig
from models import codec
from models.detect import TextDetector, TextLine, wanted
from models.detectors.ppocr import PPOCRDetector
from models.errors import DetectorUnavailable, WorkCancelled
from models.job import FindText
from models.transparency import Transparency

log = logging.getLogger("ray.serve")


class Detector:
    """Undecorated on purpose: only the builder makes deployments."""

    def __init__(self, config: DetectorConfig, load: Callable[[int], TextDetector] = PPOCRDetector) -> None:
        self._config = config
        # One picture at a time: a detection uses all of its threads itself.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="detect")
        self._detector: TextDetector | None = None
        self._why = ""
        try:
            self._detector = load(config.threads)
        except DetectorUnavailable as error:
            # The replica stays: a service without the package does all the rest, and says what is missing.
            self._why = error.message
            log.warning("no detector", extra={"why": error.message})

    async def detect(self, image: bytes, find: FindText) -> tuple[TextLine, ...]:
        """The lines that ``find`` lets through, in reading order. Cancelling it ends the work within one tile.

        Raises as ``codec.decode``; ``InvalidField``, ``DetectorUnavailable``.
        """
        detector = self._detector
        if detector is None:
            raise DetectorUnavailable(self._why, retry_after_s=60)
        stop = threading.Event()

        def checkpoint() -> None:
            if stop.is_set():
                raise WorkCancelled("Cancelled while lines were chosen.")

        def work() -> tuple[TextLine, ...]:
            decoded = codec.decode(image, max_pixels=self._config.max_pixels)
            pixels = Transparency(decoded, ()).shown(decoded.rgb)
            height, width = pixels.shape[:2]
            return tuple(wanted(detector.detect(pixels, stop.is_set), find, width, height, checkpoint))

        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            stop.set()
