"""EDGES: where commands come in and answers go out. Nothing here changes anything by itself."""
