"""The account: one STARK key, a nonce, and calls made by its signature.

Promises
- Clients find what an account of Starknet offers: SRC-6, SRC-5, and how it is deployed.

Laws
- Nobody calls what belongs to the chain: the executor itself checks nonce and signature, runs the
  calls of `__execute__`, and deploys.
"""

from collections.abc import Sequence

from sequencer.chain.calldata import CairoType, cairo_type, read_all
from sequencer.chain.native import Answer, Call, EntryPoint, Interface, native_contract
from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.felt import Felt, encode_short_string

# The interface of asking for interfaces (SRC-5), and that of a Starknet account (SRC-6).
_SRC5_ID = 0x3F918D17E5EE77373B56385708F855659A07F75997F365CF87748628532A055
_SRC6_ID = 0x2CECCEF7F994940B3962A6C67E0BA4FCD37DF7D131417C604F91E03CAECC1CD

_FELT = cairo_type(int, "Account.key")
_FELTS = cairo_type(Sequence[int], "Account.key")
_ADDRESS = _FELT._replace(name="core::starknet::contract_address::ContractAddress")
_SPAN = _FELTS._replace(
    name="core::array::Span::<core::felt252>",
    parts=(("snapshot", _FELTS._replace(name="@core::array::Array::<core::felt252>")),),
    kind="struct",
)
# These two only describe: the executor reads the calls itself.
_CALL = _FELTS._replace(
    name="core::starknet::account::Call",
    parts=(("to", _ADDRESS), ("selector", _FELT), ("calldata", _SPAN)),
    kind="struct",
)
_CALLS = _FELTS._replace(name=f"core::array::Array::<{_CALL.name}>", parts=(("item", _CALL),))
_RESULTS = _FELTS._replace(name=f"core::array::Array::<{_SPAN.name}>", parts=(("item", _SPAN),))

_KEY = (("public_key", _FELT),)
_CLASS = (("class_hash", _FELT),)
_DEPLOYMENT = (*_CLASS, ("contract_address_salt", _FELT), *_KEY)
_SIGNED = (("hash", _FELT), ("signature", _FELTS))
_INTERFACE = (("interface_id", _FELT),)


def _public_key(call: Call) -> Felt:
    return call.state.contracts[call.contract].public_key


def _get_public_key(call: Call) -> Answer:
    read_all((), call.calldata)
    return Answer((_public_key(call),))


def _is_valid_signature(call: Call) -> Answer:
    given = read_all(_SIGNED, call.calldata)
    match given["signature"]:
        case (r, s):
            valid = call.signature_ok(_public_key(call), given["hash"], r, s)
        case _:
            valid = False
    return Answer((encode_short_string("VALID") if valid else 0,))


def _supports_interface(call: Call) -> Answer:
    asked = read_all(_INTERFACE, call.calldata)["interface_id"]
    return Answer((int(asked in (_SRC5_ID, _SRC6_ID)),))


def _of_the_chain(
    name: str, inputs: Sequence[tuple[str, CairoType]], output: CairoType
) -> EntryPoint:
    def run(_: Call) -> Answer:
        words = f"nobody calls {name}: the chain does, for a transaction of the account"
        raise Refused(Reason.NOT_AUTHORIZED, words)

    return EntryPoint(name, inputs, run, (output,))


ACCOUNT = native_contract(
    Interface(
        name="Account",
        entry_points=(
            _of_the_chain("__execute__", (("calls", _CALLS),), _RESULTS),
            _of_the_chain("__validate__", (("calls", _CALLS),), _FELT),
            _of_the_chain("__validate_declare__", _CLASS, _FELT),
            _of_the_chain("__validate_deploy__", _DEPLOYMENT, _FELT),
            EntryPoint("is_valid_signature", _SIGNED, _is_valid_signature, (_FELT,), is_view=True),
            EntryPoint(
                "supports_interface",
                _INTERFACE,
                _supports_interface,
                (cairo_type(bool),),
                is_view=True,
            ),
            EntryPoint("get_public_key", (), _get_public_key, (_FELT,), is_view=True),
        ),
        constructor=_KEY,
    )
)
"""The class of every account. Its calls run in the executor, which checks nonce and signature."""
