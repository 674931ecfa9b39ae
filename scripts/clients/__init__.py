"""What the scripts for clients are made of: starknet-py, and nothing of the node."""
