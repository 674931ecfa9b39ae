"""Why a transaction failed, in the words of starknet-devnet.

Promises
- A contract's code is spelled as `('CODE')` behind its felt, where clients look for it.
- What the system refused itself spells no code.
"""

from collections.abc import Iterable

from contracts.twin import panic_data
from devnet.embedded.machine import Entered, Failure, Stopped
from sequencer.api.starknet_rpc.wire import Fields
from sequencer.starknet.felt import format_felt

_HEAD = "Transaction execution has failed:"
_UNKNOWN = "UNKNOWN"


def revert_reason(failure: Failure) -> str:
    """Write what a receipt says."""
    *outer, last = failure.calls
    if isinstance(failure.error, Stopped):
        is_deployed = not last.is_constructor
        lines = [*_numbered(outer), _titled(len(outer), last, has_selector=is_deployed)]
        return "\n".join([_HEAD, *lines, failure.error.words, ""])
    # A call's panic is its caller's; a deployment's goes through the system.
    constructors = [at for at, call in enumerate(failure.calls) if call.is_constructor]
    through = constructors[-1] if constructors else 0
    lines = list(_numbered(failure.calls[: through + 1]))
    return "\n".join([_HEAD, *lines, *_panic(failure, through), ""])


def panic_of(failure: Failure) -> str:
    """Write what an account says that does not take a transaction."""
    return "\n".join([*_panic(failure, 0)[1:], ""])


def call_failure(failure: Failure) -> Fields:
    """Write what a question is answered with that a contract refuses."""
    told: str | Fields = _last_words(failure)
    for call in reversed(failure.calls):
        told = {
            "contract_address": format_felt(call.contract),
            "class_hash": format_felt(call.class_hash),
            "selector": format_felt(call.selector),
            "error": told,
        }
    return {"revert_error": told}


def _last_words(failure: Failure) -> str:
    if isinstance(failure.error, Stopped):
        return failure.error.words
    return f'["{format_felt(panic_data(failure.error.code))}"]'


def _panic(failure: Failure, start: int) -> list[str]:
    places = [f"Error in contract ({_place(call)}):" for call in failure.calls[start:]]
    code = failure.error.code
    return ["Execution failed. Failure reason:", *places, f"{panic_data(code):#x} ('{code}')."]


def _numbered(calls: Iterable[Entered]) -> Iterable[str]:
    return (_titled(number, call) for number, call in enumerate(calls))


def _titled(number: int, call: Entered, *, has_selector: bool = True) -> str:
    what = "contract class constructor" if call.is_constructor else "called contract"
    return f"{number}: Error in the {what} ({_place(call, has_selector=has_selector)}):"


def _place(call: Entered, *, has_selector: bool = True) -> str:
    chosen = f"{call.selector:#066x}" if has_selector else _UNKNOWN
    contract, class_hash = f"{call.contract:#066x}", f"{call.class_hash:#066x}"
    return f"contract address: {contract}, class hash: {class_hash}, selector: {chosen}"
