"""An embedded devnet put together: its chain, from a folder or new, and its methods.

Promise: a folder that holds a chain goes on with it, whatever else is asked for.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from contracts.twin import Twin
from devnet.embedded.chain import Chain
from devnet.embedded.classes import Classes
from devnet.embedded.events import event_methods
from devnet.embedded.faults import Faults
from devnet.embedded.genesis import beginning
from devnet.embedded.managing import managing_methods
from devnet.embedded.reading import reading_methods
from devnet.embedded.store import FolderStore, NoStore
from devnet.embedded.transacting import transaction_methods
from devnet.embedded.trying import trying_methods
from sequencer.api.json_rpc import Method
from sequencer.starknet.felt import Felt


def open_chain(
    twins: Mapping[Felt, Twin], folder: Path | None, accounts: int, now: Callable[[], int]
) -> Chain:
    """Go on with the chain of a folder, or begin one there, or in memory where it is None.

    `now` gives seconds of the wall clock. Failures: StoreFailed. Refusals: those of the store.
    """
    if folder is None:
        chain = Chain(twins, NoStore(), now)
        chain.begin(beginning(accounts))
        return chain
    store = FolderStore(folder)
    chain = Chain(twins, store, now)
    kept = store.read()
    if kept is None:
        chain.begin(beginning(accounts))
    else:
        chain.go_on(*kept)
    return chain


def all_methods(chain: Chain, faults: Faults) -> Mapping[str, Method]:
    """Return everything that can be asked."""
    classes = Classes(chain.twins)
    methods = (
        *reading_methods(chain, classes),
        *transaction_methods(chain, classes, faults),
        *trying_methods(chain, classes),
        *event_methods(chain),
        *managing_methods(chain, faults),
    )
    return {method.name: method for method in methods}
