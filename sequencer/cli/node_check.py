"""What a node's file leads to: folders, keys, genesis, ports, plugins, the settlement chain.

Promises
- Nothing is changed, and nobody elsewhere is asked but by `ask_settlement`.
- A key is read, and never shown.
"""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec

from sequencer.chain.genesis import Genesis, read_genesis, start_chain
from sequencer.cli.node_file import NodeFile, placed_in
from sequencer.cli.node_shape import Finding, sound_part
from sequencer.cli.plugin_options import plugins_of
from sequencer.cli.settlement import settlement_of
from sequencer.config import (
    KEY_VARIABLE,
    SETTLEMENT_FILE,
    find_admin,
    read_limited,
    read_operator_key,
    read_settlement,
)
from sequencer.model.api_limits import NODE_FILE_BYTES_MAX
from sequencer.model.limits import GENESIS_FILE_BYTES_MAX
from sequencer.model.refusals import Reason, Refused
from sequencer.model.secret import Secret
from sequencer.model.settlement import SettlementError
from sequencer.plugins.loading import load_plugin
from sequencer.starknet.felt_hash import public_key
from sequencer.storage.leveldb import DATABASE_FOLDER

_LOOPBACK = "127.0.0.1"
_OTHERS = 0o077


def check_node_file(path: Path) -> tuple[NodeFile, list[Finding]]:
    """Return what of a node's file can be used, and all that is to be put right, in its order."""
    try:
        raw = msgspec.toml.decode(read_limited(path, NODE_FILE_BYTES_MAX))
    except Refused as refused:
        return NodeFile(), [Finding("", refused.detail, "the path of a file in TOML")]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return NodeFile(), [Finding("", f"is no TOML: {error}", "NAME = VALUE, or [SECTION]")]
    stated, findings = sound_part(raw)
    stated = placed_in(stated, path.parent)
    # What cannot be read is as if it were not there, and that is no finding of its own.
    known = {each.where for each in findings}
    for check in (_folders, _chain, _ports, _settlement, _plugins):
        findings += [each for each in check(stated) if each.where not in known]
    return stated, findings


async def ask_settlement(stated: NodeFile) -> list[Finding]:
    """Ask the settlement contract of a file how it stands."""
    try:
        contract = settlement_of(stated.data_dir or Path(), stated.settlement.file)
    except Refused:  # It is a finding already.
        return []
    if contract is None:
        return []
    try:
        standing = await contract.standing()
    except SettlementError as error:
        return [Finding("settlement.file", str(error), "the url and contract that answer")]
    finally:
        await contract.close()
    words = f"answers: its newest post is block {standing.newest.height}"
    return [Finding("settlement.file", words, note=True)]


def _folders(stated: NodeFile) -> Iterator[Finding]:
    folder = stated.data_dir
    if folder is None:
        yield Finding("data_dir", "is missing: the command line has to name it", note=True)
    elif not (there := _nearest_there(folder)).is_dir():
        yield Finding("data_dir", f"{there} is no folder", "a folder, or a name that is free")
    elif not os.access(there, os.W_OK):
        yield Finding("data_dir", f"{folder} cannot be written", "a folder of the node's user")
    if stated.witness is not None and not stated.witness.parent.is_dir():
        words = f"there is no folder {stated.witness.parent}"
        yield Finding("witness", words, "a file in a folder that is there")


def _chain(stated: NodeFile) -> Iterator[Finding]:
    """Check the key, and the genesis file where there is no chain yet."""
    has_chain = stated.data_dir is not None and (stated.data_dir / DATABASE_FOLDER).exists()
    genesis: Genesis | None = None
    if stated.genesis is not None:
        try:
            genesis = read_genesis(read_limited(stated.genesis, GENESIS_FILE_BYTES_MAX))
            start_chain(genesis)
        except Refused as refused:
            absent = refused.reason is Reason.FILE_UNREADABLE
            words = refused.detail if absent else f"{stated.genesis}: {refused.detail}"
            yield Finding("genesis", words, "a file that `perpchain genesis FILE` takes")
    elif not has_chain:
        words = "is missing, and there is no chain yet"
        yield Finding("genesis", words, 'genesis = "genesis.json"')
    try:
        key = read_operator_key(stated.operator_key)
    except Refused as refused:
        words = "perpchain keys new FILE makes one; of a chain that is there, its operator's"
        yield Finding("operator_key", refused.detail, words)
        return
    yield from _key_findings(stated, key, None if has_chain else genesis)


def _key_findings(stated: NodeFile, key: Secret, genesis: Genesis | None) -> Iterator[Finding]:
    if stated.operator_key is None:
        yield Finding("operator_key", f"is missing: ${KEY_VARIABLE} is used", note=True)
    else:
        yield from _readable_by_others("operator_key", stated.operator_key)
    try:
        own = public_key(key.value)
    except Refused as refused:
        yield Finding("operator_key", refused.detail, "perpchain keys new FILE makes one")
        return
    if genesis is not None and own != genesis.operator.key():
        words = f"its public key is {own:#x}, and that of the operator in genesis is another one"
        yield Finding("operator_key", words, f"the key of {genesis.operator.key():#x}")


def _ports(stated: NodeFile) -> Iterator[Finding]:
    api, admin = stated.api, stated.admin
    if api.port > 0 and api.port == admin.port:
        yield Finding("admin.port", f"is {admin.port}, as api.port", "another one, or 0")
    try:
        running = None if stated.data_dir is None else find_admin(stated.data_dir)
    except Refused:
        running = None
    if running is not None:
        words = f"process {running[0].pid} runs on {stated.data_dir}: no port was tried"
        yield Finding("data_dir", words, note=True)
        return
    for name, host, port in (("api", api.host, api.port), ("admin", _LOOPBACK, admin.port)):
        problem = "" if port < 0 else _listening_problem(host, port)
        if problem:
            words = "another port, 0 for any free one, or an address of this machine"
            yield Finding(name, f"host {host}, port {port}: {problem}", words)


def _listening_problem(host: str, port: int) -> str:
    """Say why nobody can listen at an address, "" where somebody can."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
    except (OSError, UnicodeError) as error:
        return getattr(error, "strerror", None) or str(error)
    return ""


def _settlement(stated: NodeFile) -> Iterator[Finding]:
    folder, file = stated.data_dir or Path(), stated.settlement.file
    try:
        config = read_settlement(folder, file)
    except Refused as refused:
        words = "url, contract, account and key_file, as docs/operate.md shows"
        yield Finding("settlement.file", refused.detail, words)
        return
    if config is None:
        words = f"is missing, and {SETTLEMENT_FILE} is not there: nothing is posted"
        yield Finding("settlement.file", words, note=True)
        return
    words = f"{config.url} is where roots are posted; --online asks it"
    yield Finding("settlement.file", words, note=True)


def _plugins(stated: NodeFile) -> Iterator[Finding]:
    try:
        plugins_of((), stated.plugins)
    except Refused as refused:
        yield Finding("plugins", refused.detail, "another name")
    for each in stated.plugins:
        try:
            load_plugin(each.use)
        except Refused as refused:
            words = 'use = "MODULE:CLASS", or the name of an installed one'
            yield Finding("plugins.use", refused.detail, words)


def _readable_by_others(where: str, path: Path) -> Iterator[Finding]:
    if path.stat().st_mode & _OTHERS:
        yield Finding(where, f"others can read {path}: chmod 600 {path}", note=True)


def _nearest_there(folder: Path) -> Path:
    return next(each for each in (folder, *folder.absolute().parents) if each.exists())
