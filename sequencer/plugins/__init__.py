"""PLUGINS: Python classes that are told of every block and every revert, once and in order."""
