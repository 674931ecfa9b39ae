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
"""Connections to the admin server without a whole request so far; with one more the oldest goes."""

ADMIN_CALLS_MAX = 8
"""Commands that the admin server carries out at one time, those that are urgent not counted."""

ADMIN_URGENT_CALLS_MAX = 4
"""Looks at the status that are answered at one time, and as many changes of the mode."""

ADMIN_IDLE_SECONDS_MAX = 5
"""Seconds for which a connection to the admin server may stand without the head of a request."""

ADMIN_REQUEST_SECONDS_MAX = 10
"""Seconds that a client of the admin server may take to send the body of its request."""

ADMIN_QUICK_ANSWER_SECONDS_MAX = 30
"""Seconds for which a command waits for what a node answers at once."""

ADMIN_ANSWER_SECONDS_MAX = 900
"""Seconds for which a command waits for any other answer of a node."""

ADMIN_FILE_BYTES_MAX = 4_096
"""Bytes of each file by which the admin server is found."""

ADMIN_CLOSING_SECONDS_MAX = 2
"""Seconds for which the end of a node waits for clients of the admin server."""

STATUS_CHECKPOINTS_MAX = 10
"""Checkpoints that a status lists, the newest."""

OPERATOR_LOG_BYTES_MAX = 8 * 1024 * 1024
"""Bytes of the operator's log from which on it is closed, and another file begun."""

OPERATOR_LOG_PARAMS_BYTES_MAX = 4_096
"""Bytes of a call's parameters from which on the operator's log keeps only their hash."""

OPERATOR_LOG_WAITING_MAX = 1_000
"""Looks that wait to be written to the operator's log; one more is counted and not written."""

OPERATOR_LOG_UNENDED_SHOWN_MAX = 20
"""Intents without an outcome that a check of the operator's log names, the newest."""

LINES_SAID_WAITING_MAX = 10_000
"""Lines for the operator that wait for whoever reads standard error; those above are counted."""

LINES_ENDING_SECONDS_MAX = 2
"""Seconds that a node which ends waits for its last lines to be read."""

COMPLETING_SECONDS_MAX = 2
"""Seconds that a shell waits for a running node to complete a name."""
