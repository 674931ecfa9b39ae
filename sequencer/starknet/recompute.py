"""Recompute every hash of published Starknet files, and compare.

Promises
- A hash is PASSED only where it was computed here and was equal; what lacks an input, a formula or
  a predecessor is NOT_CHECKED with the reason beside it.
- State updates find their predecessors by root, in any order of files, and several chains may lie
  side by side: each starts from the empty state.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.block import Commitments, Header, block_hash, commitments
from sequencer.starknet.felt import Felt, encode_short_string, parse_felt
from sequencer.starknet.published import Block, ListedTransaction, PublishedFile, StateUpdate
from sequencer.starknet.published_transactions import (
    read_feeder_transaction,
    read_signature,
    read_tagged_transaction,
)
from sequencer.starknet.recompute_state import check_roots
from sequencer.starknet.state import StateDiff
from sequencer.starknet.transactions import (
    L1Handler,
    LegacyTransaction,
    Transaction,
    transaction_hash,
)
from sequencer.starknet.verdict import Finding, Verdict, compare, not_checked
from sequencer.starknet.version import BLOCK_HASH_0, Version, parse_version

# Chain ids that are tried, in order, where none is given.
_PUBLIC_CHAINS = ("SN_MAIN", "SN_SEPOLIA", "SN_INTEGRATION_SEPOLIA", "SN_GOERLI")

_Published: TypeAlias = tuple[Transaction, Felt, bool]
"""A transaction, its published hash, and whether that is the hash of the query version."""


def check_files(files: Mapping[str, PublishedFile], chain: str | None) -> Iterator[Finding]:
    """Check everything in the files. `chain` is a chain id's text, or None to try the public ones.

    Refusals: TRANSACTION_MALFORMED, FELT_OUT_OF_RANGE, SHORT_STRING_MALFORMED.
    """
    updates = {name: file.update for name, file in files.items() if file.update is not None}
    for name, file in files.items():
        try:
            yield from _check_list(name, file.transactions, chain)
            if file.block is not None:
                update = file.update or _find_update(file.block, updates.values())
                yield from _check_block(name, file.block, update, chain)
        except Refused as refused:
            raise Refused(refused.reason, f"{name}: {refused.detail}") from None
    yield from check_roots(updates, _versions(files))


def _find_update(block: Block, updates: Iterable[StateUpdate]) -> StateUpdate | None:
    if block.block_hash is None:
        return None
    hash_ = parse_felt(block.block_hash)
    return next((update for update in updates if update.block_hash == hash_), None)


def _versions(files: Mapping[str, PublishedFile]) -> dict[str, Version]:
    """Find the protocol version of each update whose block is at hand, in its file or another."""
    of_blocks = {}
    for file in files.values():
        if file.block is not None and file.block.block_hash and file.block.starknet_version:
            version = parse_version(file.block.starknet_version)
            of_blocks[parse_felt(file.block.block_hash)] = version
    return {
        name: of_blocks[file.update.block_hash]
        for name, file in files.items()
        if file.update is not None and file.update.block_hash in of_blocks
    }


def _check_list(
    name: str, listed: Sequence[ListedTransaction], chain: str | None
) -> Iterator[Finding]:
    for stated in sorted({entry.chain_id or "" for entry in listed}):
        entries = [entry for entry in listed if (entry.chain_id or "") == stated]
        chains = _chains(chain if chain is not None else stated or None)
        yield from _check_transactions(name, _read_listed(entries), chains)


def _read_listed(entries: Iterable[ListedTransaction]) -> Iterator[_Published | Refused]:
    for entry in entries:
        try:
            transaction = read_tagged_transaction(entry.transaction)
        except Refused as refused:
            yield _only_unsupported(refused)
            continue
        yield transaction, parse_felt(entry.transaction_hash), False
        if entry.only_query_transaction_hash is not None:
            yield transaction, parse_felt(entry.only_query_transaction_hash), True


def _read_feeder(block: Block) -> Iterator[_Published | Refused]:
    for fields in block.transactions:
        try:
            transaction = read_feeder_transaction(fields)
        except Refused as refused:
            yield _only_unsupported(refused)
            continue
        if block.starknet_version is None and _is_version_0(transaction):
            yield Refused(Reason.TRANSACTION_UNSUPPORTED, "version 0 in a block of no version")
            continue
        yield transaction, parse_felt(fields.get("transaction_hash")), False


def _is_version_0(transaction: Transaction) -> bool:
    # The first blocks, which state no version, hashed version 0 in a way that is long gone.
    if isinstance(transaction, LegacyTransaction):
        return transaction.version == 0
    return isinstance(transaction, L1Handler)


def _only_unsupported(refused: Refused) -> Refused:
    if refused.reason is not Reason.TRANSACTION_UNSUPPORTED:
        raise refused
    return refused


def chain_id(name: str) -> Felt:
    """Return a chain's id: a short string, or a felt where the name begins with 0x.

    Refusals: SHORT_STRING_MALFORMED (an empty name, too), FELT_MALFORMED, FELT_OUT_OF_RANGE.
    """
    if not name:
        raise Refused(Reason.SHORT_STRING_MALFORMED, "a chain has a name")
    return parse_felt(name) if name.startswith("0x") else encode_short_string(name)


def _chains(chain: str | None) -> list[tuple[str, Felt]]:
    names = _PUBLIC_CHAINS if chain is None else (chain,)
    return [(name, chain_id(name)) for name in names]


def _check_transactions(
    name: str, published: Iterable[_Published | Refused], chains: list[tuple[str, Felt]]
) -> Iterator[Finding]:
    entries = list(published)
    known = [entry for entry in entries if not isinstance(entry, Refused)]
    chain, hashes = _best_chain(known, chains)
    for query, subject in ((False, "transaction hash"), (True, "query transaction hash")):
        findings = [
            compare(name, subject, entry[1], hash_, chain)
            for hash_, entry in zip(hashes, known, strict=True)
            if entry[2] is query
        ]
        yield from _summed(findings)
    for entry in entries:
        if isinstance(entry, Refused):
            yield not_checked(name, "transaction hash", entry.detail)


def _best_chain(
    known: Sequence[_Published], chains: list[tuple[str, Felt]]
) -> tuple[str, list[Felt]]:
    """Find the chain id under which a published hash comes out; the first one where none does."""
    tried = []
    for chain, id_ in chains:
        hashes = [transaction_hash(entry[0], id_, entry[2]) for entry in known]
        tried.append((chain, hashes))
        if any(hash_ == entry[1] for hash_, entry in zip(hashes, known, strict=True)):
            return chain, hashes
    return " or ".join(chain for chain, _ in tried), tried[0][1]


def _summed(findings: Sequence[Finding]) -> Iterator[Finding]:
    """Give each failure a row and everything that passed one row together."""
    passed = [finding for finding in findings if finding.verdict is Verdict.PASSED]
    yield from (finding for finding in findings if finding.verdict is not Verdict.PASSED)
    if passed:
        first = passed[0]
        yield Finding(first.file, first.subject, first.verdict, len(passed), first.note)


def _check_block(
    name: str, block: Block, update: StateUpdate | None, chain: str | None
) -> Iterator[Finding]:
    yield from _check_transactions(name, _read_feeder(block), _chains(chain))
    if update is not None:
        yield from _check_agreement(name, block, update)
    version = parse_version(block.starknet_version) if block.starknet_version else (0,)
    if version < BLOCK_HASH_0:
        stated = block.starknet_version or "of no version"
        why = f"{stated}: the formulas begin at 0.13.2"
        yield not_checked(name, "commitments, block hash", why)
        return
    content = _content(block, update, version)
    yield from _check_commitments(name, block, content, update is not None)
    yield _check_block_hash(name, block, content, update is not None)


def _check_agreement(name: str, block: Block, update: StateUpdate) -> Iterator[Finding]:
    """Compare what a block and its state update both state."""
    stated = (
        ("state root of the block and its update", block.state_root, update.new_root),
        ("block hash of the block and its update", block.block_hash, update.block_hash),
    )
    for subject, of_block, of_update in stated:
        if of_block is not None and of_update is not None:
            yield compare(name, subject, parse_felt(of_block), of_update)


def _content(block: Block, update: StateUpdate | None, version: Version) -> Commitments:
    signed = [
        (parse_felt(fields.get("transaction_hash")), read_signature(fields))
        for fields in block.transactions
    ]
    diff = StateDiff() if update is None else update.diff
    return commitments(signed, block.receipts(), diff, version)


def _check_commitments(
    name: str, block: Block, content: Commitments, with_diff: bool
) -> Iterator[Finding]:
    stated = (
        ("transaction commitment", block.transaction_commitment, content.transactions),
        ("event commitment", block.event_commitment, content.events),
        ("receipt commitment", block.receipt_commitment, content.receipts),
    )
    for subject, expected, computed in stated:
        if expected is None:
            yield not_checked(name, subject, "the block does not state it")
        else:
            yield compare(name, subject, parse_felt(expected), computed)
    if not with_diff:
        yield not_checked(name, "state diff commitment", "its state update is not at hand")
        return
    if block.state_diff_commitment is not None:
        expected_felt = parse_felt(block.state_diff_commitment)
        yield compare(name, "state diff commitment", expected_felt, content.state_diff)
    if block.state_diff_length is not None:
        computed_length = content.state_diff_length
        yield compare(name, "state diff length", block.state_diff_length, computed_length)


def _check_block_hash(name: str, block: Block, content: Commitments, with_diff: bool) -> Finding:
    subject = "block hash"
    header = _header(block, content, with_diff)
    if header is None or block.block_hash is None:
        return not_checked(name, subject, "the block lacks a field of its header")
    note = "" if with_diff else "with the state diff's commitment and length as published"
    return compare(name, subject, parse_felt(block.block_hash), block_hash(header), note)


def _header(block: Block, content: Commitments, with_diff: bool) -> Header | None:
    prices, version = block.prices(), block.starknet_version
    if not with_diff:
        if block.state_diff_commitment is None or block.state_diff_length is None:
            return None
        content = Commitments(
            content.transactions,
            content.events,
            content.receipts,
            parse_felt(block.state_diff_commitment),
            content.transaction_count,
            content.event_count,
            block.state_diff_length,
        )
    if block.block_number is None or block.state_root is None or block.sequencer_address is None:
        return None
    if block.l1_da_mode not in ("BLOB", "CALLDATA") or prices is None or version is None:
        return None
    return Header(
        number=block.block_number,
        parent_hash=parse_felt(block.parent_block_hash),
        state_root=parse_felt(block.state_root),
        sequencer=parse_felt(block.sequencer_address),
        timestamp=block.timestamp,
        commitments=content,
        blob=block.l1_da_mode == "BLOB",
        prices=prices,
        starknet_version=version,
    )
