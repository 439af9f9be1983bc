"""What guidelines say, in a terminal: the scan's category first, then a line a nodule, each with the rule that fired."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lungscan.clinical.assess import Assessment
from lungscan.clinical.outcome import Outcome


def show(assessment: Assessment, console: Console) -> None:
    for outcome in assessment.scan:
        console.print(
            Text.assemble((f" {_name(outcome)}  ", "bold"), (outcome.result or "–", "bold"), f"  {reason(outcome)}")
        )
        for line in (outcome.advice, *outcome.remarks):
            if line:
                console.print(Text(f"   {line}", "dim"))
    if assessment.nodules:
        table = Table(box=None, padding=(0, 2, 0, 1), header_style="bold")
        for heading in ("Nodule", "Kind", "Mean Ø mm", "Guideline", "Says", "Because"):
            table.add_column(heading, overflow="fold")
        for n in assessment.nodules:
            solid = "" if n.solid_mean_mm is None else f" (solid {n.solid_mean_mm:.1f})"
            start = (str(n.id), n.kind.value, f"{n.mean_mm:.1f}{solid}")
            for outcome in n.outcomes:
                table.add_row(*start, _name(outcome), outcome.result or "–", reason(outcome))
                start = ("", "", "")
        console.print(table)
        console.print(Text(f" kind: {assessment.nodules[0].kind_basis}", "dim"))
    if assessment.not_given:
        console.print(Text(f" not given: {', '.join(assessment.not_given)}", "yellow"))


def reason(outcome: Outcome) -> str:
    """Why: the rule that fired, or what kept it from firing."""
    if outcome.missing:
        return f"not given: {', '.join(outcome.missing)}"
    return outcome.inapplicable or outcome.because


def _name(outcome: Outcome) -> str:
    return f"{outcome.guideline} {outcome.version}"
