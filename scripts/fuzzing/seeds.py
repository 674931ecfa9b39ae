"""What is mutated: sound requests of a target, and what of it may never change."""

from collections.abc import Sequence
from typing import Any, NamedTuple

Request = dict[str, Any]

SECRET = 0x5EC2E7
"""What a request has to show that changes something in the toy server."""


class Seeds(NamedTuple):
    """Requests to mutate. `fingerprint`: their answers stay as they are, whatever else is sent;
    `changing` changes them. `codes`: errors of methods that have to come about."""

    requests: Sequence[Request]
    fingerprint: Sequence[Request]
    changing: Request
    codes: Sequence[int]


def request(method: str, params: object) -> Request:
    """Make a sound request."""
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


TOY = Seeds(
    requests=(
        request("toy_root", []),
        request("toy_nonce", {"block_id": "latest", "address": "0x1234"}),
        request("toy_nonce", ["pre_confirmed", "0xffffffffffff"]),
        request("toy_nonce", [{"block_number": 7}, "0x1"]),
        request("toy_events", {"filter": {"keys": [["0x1", "0x2"], []], "chunk_size": 10}}),
        request("toy_add", {"entries": ["0x1", "0x2", "0x3"], "secret": "0x1"}),
        request("toy_add", [[hex(entry) for entry in range(200)], "0x2"]),
        request("toy_subscribe", {"block_id": "latest"}),
        request("toy_costly", []),
    ),
    fingerprint=(request("toy_root", []),),
    changing=request("toy_add", {"entries": ["0x1"], "secret": hex(SECRET)}),
    codes=(20, 24, 55, -32_005),
)
