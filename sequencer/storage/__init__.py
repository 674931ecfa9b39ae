"""The store of the chain: one keyspace, one synced batch per commit, nothing ever overwritten."""
