"""Limits of the public API: what one request, one connection and one address may cost.

Promises
- What depends on who is served (a devnet on one machine, a node in public) is in `ServerLimits`;
  everything else is one number for all.
"""

import msgspec

RPC_DEPTH_MAX = 16
"""Objects and lists inside one another in the parameters of a method of Starknet."""

RPC_ENVELOPE_DEPTH = 2
"""Levels around the parameters: the request, and the batch in which it may stand."""

RPC_BODY_BYTES_MAX = 64 * 1024
"""Bytes of a request, or of a batch."""

RPC_LARGE_BODY_BYTES_MAX = 4 * 1024 * 1024
"""Bytes of a request with transactions or a class in it."""

RPC_LARGE_TOGETHER_MAX = 2
"""Requests over `RPC_BODY_BYTES_MAX` that are decoded and answered at one time; others wait."""

JSON_VALUES_MAX = 262_144
"""Values in what clients send: most of them are small, and each costs fifty bytes and more."""

RPC_BATCH_MAX = 100
"""Requests in one batch."""

RPC_BATCH_ANSWER_BYTES_MAX = 16 * 1024 * 1024
"""Bytes of the answers to one batch; requests whose answers would be beyond get an error."""

RPC_HEADER_BYTES_MAX = 8_190
"""Bytes of one header, and of the first line of a request."""

RPC_HEADERS_MAX = 64
"""Headers of a request."""

RPC_HEAD_SECONDS_MAX = 10
"""Seconds for which a new connection may stand without the head of a request."""

RPC_IDLE_SECONDS_MAX = 30
"""Seconds for which a connection may stand between two requests, half a head included."""

RPC_BODY_SECONDS_MAX = 20
"""Seconds that a client may take to send the body of its request."""

RPC_ANSWER_SECONDS_MAX = 30
"""Seconds that a method may take; what it has begun may be done all the same."""

RPC_SENDING_SECONDS_MAX = 30
"""Seconds that a client may take to read an answer."""

RPC_CLOSING_SECONDS_MAX = 2
"""Seconds for which the end of a connection, or of the node, waits for a client."""

RPC_CUTTING_OFF_MS = 100
"""Milliseconds after that in which what is left is cut off, for each step of it."""

RPC_BACKLOG = 1_024
"""Connections that the system keeps until the node takes them."""

RPC_FILES_KEPT = 256
"""Open files that are left to the rest of the node where the system allows few."""

RPC_TOKEN_BYTES = 1024
"""Bytes of a request that cost one token: two hundred short felts, which take as long to hash."""

RPC_BUSY_PAUSE_MS = 500
"""Milliseconds after a refusal for want of tokens in which nothing more is read of a connection:
saying no costs something, too."""

ADDRESSES_REMEMBERED_MAX = 65_536
"""Addresses whose tokens are remembered; beyond it those go that were not heard of for longest."""

EVENTS_BACK_BLOCKS_MAX = 2_000
"""Blocks that one answer about trades or funding looks back over."""

EVENTS_BACK_BYTES_MAX = 1024 * 1024
"""Bytes of blocks that such an answer decodes; the last block may go beyond it."""

EVENTS_BACK_SLICES = 20
"""Pieces of that work, at least, between which other readers have their turn."""

PERP_HISTORY_MAX = 500
"""Trades, payments or moves of an index in one answer."""

PERP_HISTORY = 100
"""The same where a request names no number."""

PERP_ORDERS_MAX = 500
"""Open orders in one answer."""

PERP_REORGS_MAX = 100
"""Rollbacks and undos in one answer, and in the data of a conflict about the epoch."""

ACCOUNT_PROOF_ORDERS_MAX = 100
"""Orders whose rows one proof of an account holds."""

ACCOUNT_PROOF_ROWS_MAX = 50_000
"""Orders of everybody that are looked at to find those of an account at an old block."""

STREAM_SUBSCRIPTIONS_MAX = 64
"""Subscriptions of one WebSocket connection."""

STREAM_MESSAGE_BYTES_MAX = 1024 * 1024
"""Bytes of one message from a client of a WebSocket; the connection ends with 1009 at more."""

STREAM_CALLS_MAX = 256
"""Requests of one WebSocket connection that are carried out at one time."""

STREAM_CALLS_WAIT_SECONDS_MAX = 2
"""Seconds for which the next request waits when so many are carried out, before it is refused."""

STREAM_MESSAGES_MAX = 4_096
"""Messages that may wait for the client of a WebSocket; at more it is too slow."""

STREAM_BYTES_MAX = 8 * 1024 * 1024
"""Bytes that may wait for the client of a WebSocket, unless they are one message."""

STREAM_PING_SECONDS = 20
"""Seconds from one sign of life of a WebSocket's client to the next ping."""

SUBSCRIPTION_BLOCKS_BACK_MAX = 1_024
"""Blocks that a subscription goes back, that an undo tells again, and that a slow one may lag."""

SUBSCRIPTION_ADDRESSES_MAX = 128
"""Addresses in the filter of one subscription."""

SUBSCRIPTION_PAUSE_MS = 50
"""Milliseconds from the answer to a subscription to its first message: clients register it then."""

SUBSCRIPTION_LOOK_MS = 20
"""Milliseconds from a change of the open block to the look at it: many changes are one look."""

SUBSCRIPTION_MESSAGES_TOGETHER_MAX = 32
"""Messages of one subscription that are sent without waiting for the socket to take them."""

SUBSCRIPTION_TEXT_CHARACTERS_MAX = 32
"""Characters of the id of a subscription."""

BOOK_LEVELS_DEFAULT = 20
"""Levels of each side of a book where a subscription names no number."""

NEWS_CACHED = 8
"""Blocks whose notifications are kept for whoever is told of them a little later."""

NODE_FILE_BYTES_MAX = 64 * 1024
"""Bytes of a node's file of options."""

EVENT_KEYS_MAX = 16
"""Positions of keys in a filter of events."""

EVENT_KEY_VALUES_MAX = 256
"""Values of keys in a filter of events, all positions together."""

EVENTS_PAGE_MAX = 1_024
"""Events in one answer."""

EVENTS_SCAN_MS_MAX = 40
"""Milliseconds after which a look for events ends with a token instead of more events."""

EVENTS_SCAN_BLOCKS_MAX = 100_000
"""Blocks that one look for events goes through."""

EVENTS_TOKEN_CHARACTERS_MAX = 256
"""Characters of the text with which a look for events goes on."""

EVENT_BLOCKS_CACHED = 64
"""Blocks whose events are kept for the next page of whoever is looking through them."""

PROOF_KEYS_MAX = 100
"""Classes, contracts and slots in one request for proofs, all together."""

SLOT_VERSIONS_MAX = 20_000
"""Versions of trie nodes that a look for the last change of a slot goes through."""

BLOCK_ENTRIES_CACHED = 100_000
"""Transactions and events of whole blocks that are kept for whoever asks for them again."""

STATES_CACHED = 2
"""States of older blocks that are kept: each takes as much memory as the newest one."""

PAST_WAITING_MAX = 64
"""Blocks of the past that may wait to be loaded or executed again."""

PAST_WAITING_PER_ADDRESS_MAX = 32
"""Those of them that one address may have waiting."""

TRACE_ENTRIES_CACHED = 50_000
"""Transactions and events of blocks whose traces are kept for whoever asks for them again."""

SIMULATION_TRANSACTIONS_MAX = 16
"""Transactions that one estimate or simulation tries out."""

SIMULATION_MS_MAX = 100
"""Milliseconds that one estimate or simulation may take: nothing else runs meanwhile."""

CLASS_PROGRAM_FELTS_MAX = 81_920
"""Felts of the program of a declared class."""

CONSTRUCTOR_FELTS_MAX = 64
"""Felts for the constructor of an account that is deployed; the one class there is takes one."""

CLASS_ENTRY_POINTS_MAX = 1_024
"""Entry points of one kind of a declared class."""

QUEUED_WAIT_MS_MAX = 1_000
"""Milliseconds that an estimate waits for what its account sent before to be executed."""


class ServerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What all clients together, and each address, may take. Programs on one machine are one
    address: whoever serves only them raises what is per address to what is for all.

    Connections: all of them, WebSockets included; with one too many the longest idle one goes.
    Calls: requests that are carried out at one time, those of a batch each for itself. Bytes: what
    is kept of requests that are not decoded yet, and of answers that are not read yet. Tokens: one
    a request, more for long ones and costly methods; `tokens_max` can be spent at once.
    """

    connections_max: int = 4_096
    connections_per_address_max: int = 512
    streams_max: int = 1_024
    streams_per_address_max: int = 64
    calls_max: int = 2_048
    calls_per_address_max: int = 512
    bytes_max: int = 256 * 1024 * 1024
    bytes_per_address_max: int = 64 * 1024 * 1024
    tokens_per_second: int = 1_000
    tokens_max: int = 5_000
