"""A call that names a model goes to a replica that holds it, where one does: a load takes seconds and evicts another.

For routing only: what is held is the shelf's own decision, by bytes. Ray's public ``serve.multiplexed`` counts models
and holds them itself, so the replica tells the controller by the call that this decorator is built on.
"""

from collections.abc import Sequence
from typing import Any

from ray.serve._private.common import ReplicaID, RequestRoutingInfo
from ray.serve.context import _get_global_client
from ray.serve.handle import DeploymentHandle

from models.catalog import holds_weights


def route(handle: DeploymentHandle[Any], model: str | None) -> DeploymentHandle[Any]:
    """``handle``, preferring replicas that hold ``model``; the others take calls when these are busy.

    Names that cost nothing to load, and the server's default (None), go to whoever is free.
    """
    if model is None or not holds_weights(model):
        return handle
    return handle.options(multiplexed_model_id=model)


def announce(replica_id: ReplicaID, models: Sequence[str]) -> None:
    """Replaces what was announced before."""
    info = RequestRoutingInfo(replica_id=replica_id, multiplexed_model_ids=list(models))
    client = _get_global_client()
    assert client is not None, "inside of a replica there always is one"
    client.record_request_routing_info(info)
