"""HOST: plugins beside our own node, each in a process of its own."""
