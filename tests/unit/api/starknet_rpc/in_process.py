"""starknet-py's client over a table of methods, without a socket."""

import json

from starknet_py.net.full_node_client import FullNodeClient
from starknet_py.net.http_client import HttpMethod, RpcHttpClient

from sequencer.api.json_rpc import Methods, answer
from tests.strategies import Unchecked


class InProcess(RpcHttpClient):
    """A transport without a socket."""

    def __init__(self, methods: Methods) -> None:
        super().__init__("http://in.process")
        self._methods = methods

    async def request(
        self,
        address: str,
        http_method: HttpMethod,
        params: dict[Unchecked, Unchecked] | None = None,
        payload: Unchecked = None,
    ) -> Unchecked:
        told = await answer(json.dumps(payload).encode(), self._methods, None)
        assert told is not None
        return json.loads(told)


def client_of(methods: Methods) -> FullNodeClient:
    """Return a client that asks these methods."""
    client = FullNodeClient("http://in.process")
    client._client = InProcess(methods)
    return client
