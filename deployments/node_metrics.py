"""The Prometheus text of the node that this process runs on, from the agent that Ray keeps there."""

import asyncio
import logging

import httpx
import ray

from deployments.errors import ServiceUnavailable

log = logging.getLogger("ray.serve")


class NodeMetrics:
    """One container is one node, so that its text is complete. On a cluster, Prometheus asks each node's agent."""

    def __init__(self) -> None:
        self._url = ""

    async def __call__(self) -> bytes:
        """Raises ``ServiceUnavailable``."""
        self._url = self._url or await asyncio.to_thread(_agent_url)
        try:
            async with httpx.AsyncClient(timeout=5.0, trust_env=False) as client:
                response = await client.get(self._url)
                response.raise_for_status()
        except httpx.HTTPError as error:
            self._url = ""  # the agent may have come back elsewhere
            log.warning("metrics agent not reached", extra={"why": type(error).__name__})
            raise ServiceUnavailable("The metrics of this node cannot be read now.", retry_after_s=5) from error
        return response.content


def _agent_url() -> str:
    here = ray.get_runtime_context().get_node_id()
    for node in ray.nodes():  # type: ignore[no-untyped-call]
        if node["NodeID"] == here:
            return f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    raise ServiceUnavailable("This node is not known to the cluster.", retry_after_s=5)
