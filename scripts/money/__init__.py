"""Money in and out over random histories: a real node, a devnet over HTTP, and the laws."""
