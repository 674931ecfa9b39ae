"""TIME: admission, the one writer, sealing, recovery, the outbox and views."""
