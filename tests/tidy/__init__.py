"""The project's own rules as pure functions from sources to findings."""
