"""Which engine answers in this replica: the default model, its fallback while it cannot, others by name."""

import asyncio
import contextlib
import logging

from deployments.config import InpainterConfig
from deployments.engine_shelf import EngineShelf, Lease
from deployments.protocol import EngineReport
from models.engine import InpaintEngine
from models.engines.auto import AutoEngine
from models.errors import ModelUnavailable, TextRemovalError
from models.registry import AUTO, AUTO_NETWORK, CLASSIC, only_weightless

log = logging.getLogger("ray.serve")

_RETRY_S = (5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)


def kept(config: InpainterConfig) -> frozenset[str]:
    """The engines that answer when no model is named: they are never let go."""
    network = AUTO_NETWORK if config.model == AUTO else config.model
    return frozenset({network, config.fallback_model})


class EngineRoom:
    """Decides who answers. Weights that are missing are tried again until they arrive."""

    def __init__(self, config: InpainterConfig, shelf: EngineShelf, retry_s: tuple[float, ...] = _RETRY_S) -> None:
        """``shelf``: keeps the engines of ``kept(config)``."""
        self._config = config
        self._shelf = shelf
        self._retry_s = retry_s
        self._network = AUTO_NETWORK if config.model == AUTO else config.model
        self._status = "loading"
        self._why = ""
        self._waited = False
        self.settled = asyncio.Event()
        """Set once an engine can answer, or it is known why none can."""

    async def run(self) -> None:
        """Bring the default model up, and keep trying; ends when it is in use."""
        default = asyncio.create_task(self._acquire_default())
        try:
            await asyncio.wait({default}, timeout=0.0 if self._tried else self._config.download_patience_s)
            if not self.ready:
                self._waited = True
                await self._load_fallback()
                self._look()
            await default
        finally:
            default.cancel()

    @property
    def ready(self) -> bool:
        return self._network in self._shelf

    @property
    def _tried(self) -> bool:
        return bool(self._why)

    async def lease(self, name: str | None) -> Lease:
        """The engine for a request: the one named (which never falls back), or the one that answers now.

        It stays loaded until the lease is released. A replica that has just started is waited for, up to
        ``download_patience_s``: the others may be too busy to take the call.
        """
        if name in (None, AUTO):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.settled.wait(), self._config.download_patience_s)
        if (name or self._config.model) == AUTO:
            return Lease(self._auto())  # of what never goes
        if name is not None:
            return await self._shelf.lease(name)
        for candidate in (self._config.model, self._config.fallback_model):
            if candidate in self._shelf:
                return await self._shelf.lease(candidate)
        raise self._not_yet()

    def report(self) -> EngineReport:
        engine = self._answering()
        info = engine.info if engine else None
        degraded: list[str] = list(info.notes) if info else []
        if info is not None and not self.ready:
            who = "auto chooses among the weightless fills" if self._is_auto else f"The fallback {info.name} answers"
            degraded = [
                f"The model {self._network} is not in use: {self._reason} "
                f"{who} meanwhile; {self._network} is tried again in the background."
            ]
        return EngineReport(
            engine=info.name if info else "",
            device=info.device if info else self._config.device,
            configured_model=self._config.model,
            model_status=self._status,
            weights_sha256=info.weights_sha256 if info else None,
            degraded=tuple(degraded),
            error=self._why if info is None else "",
        )

    @property
    def _is_auto(self) -> bool:
        return self._config.model == AUTO

    @property
    def _reason(self) -> str:
        return self._why or "its weights are still being fetched or loaded."

    def _answering(self) -> InpaintEngine | None:
        if self._is_auto:
            return self._auto() if self.ready or self._waited else None
        return self._shelf.peek(self._config.model) or self._shelf.peek(self._config.fallback_model)

    def _auto(self) -> InpaintEngine:
        """Made anew for each request, of what is loaded now: it holds nothing itself."""
        if self._network in CLASSIC:
            return AutoEngine(None)
        if (network := self._shelf.peek(self._network)) is not None:
            return AutoEngine(network)
        if not self._waited:
            raise self._not_yet()
        return AutoEngine(None, only_weightless(self._network, self._reason))

    def _not_yet(self) -> ModelUnavailable:
        return ModelUnavailable(
            self._why or f"The model {self._network} is still loading. Try again in a moment.", retry_after_s=5
        )

    async def _acquire_default(self) -> None:
        for attempt in range(1_000_000):
            try:
                await self._named(self._network)
            except TextRemovalError as error:
                self._status, self._why, self._waited = "error", error.message, True
                log.warning("default model not available", extra={"model": self._network, "why": error.message})
                await self._load_fallback()
                self._look()
                await asyncio.sleep(self._retry_s[min(attempt, len(self._retry_s) - 1)])
            else:
                self._status, self._why = "ready", ""
                self._look()
                log.info("default model in use", extra={"model": self._network})
                return

    def _look(self) -> None:
        if self._why or self._answering() is not None:
            self.settled.set()

    async def _load_fallback(self) -> None:
        fallback = self._config.fallback_model
        if fallback and not self._is_auto and fallback not in self._shelf:
            await self._named(fallback)

    async def _named(self, name: str) -> None:
        (await self._shelf.lease(name)).release()
