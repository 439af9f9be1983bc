"""The facts of a scan in every form: terminal, JSON. `python -m lungscan.report` shows a sample."""
