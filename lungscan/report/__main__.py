"""`python -m lungscan.report`: a made-up report in this terminal."""

from __future__ import annotations

from rich.console import Console

from lungscan.report.sample import sample_report
from lungscan.report.terminal import show

show(sample_report(), Console())
