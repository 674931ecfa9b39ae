"""What one block changed, as the keys of its versions: where collection and pruning find them."""

from sequencer.model.records import ChangedNodes, ChangedRows, History
from sequencer.storage import keys
from sequencer.storage.encoding import decode_record, encode_record

LISTS = {History.ROWS: keys.CHANGED_ROWS, History.NODES: keys.CHANGED_NODES}
"""Under which keys the changes of each history are listed."""


def changed_items(history: History, key: bytes, value: bytes) -> list[bytes]:
    """Read a list of changes as keys without versions."""
    if history is History.ROWS:
        rows = decode_record(key, value, ChangedRows).rows
        return [keys.row_item(table, name) for table, name in rows]
    changed = decode_record(key, value, ChangedNodes)
    return [
        keys.node_item(changed.tries[place], depth, int.from_bytes(path, "big"))
        for place, depth, path in changed.nodes
    ]


def shortened(history: History, key: bytes, value: bytes, count: int) -> bytes:
    """Write the list again with its first `count` items alone."""
    if history is History.ROWS:
        rows = decode_record(key, value, ChangedRows).rows
        return encode_record(key, ChangedRows(rows[:count]))
    changed = decode_record(key, value, ChangedNodes)
    return encode_record(key, ChangedNodes(changed.tries, changed.nodes[:count]))
