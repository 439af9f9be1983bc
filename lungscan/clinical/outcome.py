"""What a guideline says, and why: the form that every guideline function gives."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """One guideline's word on one nodule or one scan.

    result       : category, recommendation or probability; None when facts are missing or the guideline does not apply
    probability  : the result as a number from 0 to 1, where it is one
    because      : the rule that fired, with its numbers
    advice       : what the guideline says to do about the result
    missing      : facts that would be needed, by their names in the patient file
    inapplicable : why the guideline says nothing here
    remarks      : what a reader should know of the result
    """

    guideline: str
    version: str
    result: str | None
    because: str = ""
    advice: str = ""
    missing: tuple[str, ...] = ()
    inapplicable: str | None = None
    remarks: tuple[str, ...] = ()
    probability: float | None = None
