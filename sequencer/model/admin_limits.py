"""Limits of the operator's commands and of the server that takes them."""

CHECKPOINT_SETTLED_SECONDS_MAX = 600
"""Seconds for which a checkpoint waits to be posted to the settlement chain."""

DECIDE_MINUTES = 15
"""Minutes that an operator who halts the chain has for deciding, unless told otherwise."""

DECIDE_MINUTES_MAX = 10_080
"""Minutes that an operator may take for deciding: a week."""

ADMIN_BODY_BYTES_MAX = 64 * 1024
"""Bytes of one request to the admin server."""

ADMIN_CONNECTIONS_MAX = 32
"""Connections to the admin server at one time; more are closed at once."""

ADMIN_CALLS_MAX = 8
"""Commands that the admin server carries out at one time."""

ADMIN_REQUEST_SECONDS_MAX = 10
"""Seconds that a client of the admin server may take to send its request."""

ADMIN_FILE_BYTES_MAX = 4_096
"""Bytes of each file by which the admin server is found."""

ADMIN_CLOSING_SECONDS_MAX = 2
"""Seconds for which the end of a node waits for clients of the admin server."""

STATUS_CHECKPOINTS_MAX = 10
"""Checkpoints that a status lists, the newest."""
