"""The report of a run: its facts, the drawings of them, and the page that shows both."""
