"""Starknet's methods asked without a socket, every answer held against the specification."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sequencer.api.json_rpc import Methods, answer
from sequencer.starknet.transactions import ResourceBound
from tests.rpc_schemas import require_error, validate_result
from tests.strategies import Unchecked

NO_BOUNDS = (ResourceBound(),) * 3

NEVER: Mapping[int, str] = {
    1: "no method names it",
    32: "block 0 is there from the start",
    53: "execution is free",
    54: "execution is free",
    64: "a transaction is never replaced",
    65: "execution is free",
    100: "classes are compiled when the node is built",
}
"""Errors of the specification that no request reaches, and why."""


class Failed(Exception):
    """An error that came back."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(str(error))
        self.code: int = error["code"]
        self.message: str = error["message"]
        self.data: Any = error.get("data")


async def ask(
    methods: Methods, method: str, positional: Sequence[object], named: Mapping[str, object]
) -> Unchecked:
    """Call a method by its name without a prefix; `Failed` for an error."""
    params, name = list(positional) if positional else named, f"starknet_{method}"
    request = {"jsonrpc": "2.0", "id": 7, "method": name, "params": params}
    came = await answer(json.dumps(request).encode(), methods, None)
    assert came is not None
    told = json.loads(came)
    assert told.keys() <= {"jsonrpc", "id", "result", "error"}
    assert told["id"] == 7
    if "error" in told:
        require_error(name, told["error"])
        assert told["error"]["code"] not in NEVER
        raise Failed(told["error"])
    validate_result(name, told["result"])
    return told["result"]
