"""The account: one STARK key, a nonce, and calls made by its signature."""

from sequencer.chain.calldata import cairo_type, read_all
from sequencer.chain.native import Answer, Call, EntryPoint, NativeContract, by_selector
from sequencer.starknet.felt import Felt, encode_short_string
from sequencer.starknet.felt_hash import poseidon_array

_FELT = cairo_type(int, "Account.key")
_SIGNATURE = (("hash", _FELT), ("r", _FELT), ("s", _FELT))


def _public_key(call: Call) -> Felt:
    return call.state.contracts[call.contract].public_key


def _get_public_key(call: Call) -> Answer:
    read_all((), call.calldata)
    return Answer((_public_key(call),))


def _is_valid_signature(call: Call) -> Answer:
    given = read_all(_SIGNATURE, call.calldata)
    valid = call.signature_ok(_public_key(call), given["hash"], given["r"], given["s"])
    return Answer((encode_short_string("VALID") if valid else 0,))


ACCOUNT = NativeContract(
    name="Account",
    class_hash=poseidon_array((encode_short_string("perpchain.Account"), 1)),
    address=0,
    entry_points=by_selector(
        (
            EntryPoint("get_public_key", (), _get_public_key, (_FELT,), is_view=True),
            EntryPoint("is_valid_signature", _SIGNATURE, _is_valid_signature, (_FELT,), True),
        )
    ),
)
"""The class of every account. Its calls run in the executor, which checks nonce and signature."""
