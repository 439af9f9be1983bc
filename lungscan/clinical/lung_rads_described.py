"""ACR Lung-RADS v2022: the rows that a reader's description decides rather than size alone.

Christensen et al., JACR 21:473-488, 2024: benign features, juxtapleural nodules, airway nodules, atypical cysts.
"""

from __future__ import annotations

from lungscan.clinical.lung_rads_sizes import Row, Status
from lungscan.clinical.nodule_type import Kind
from lungscan.clinical.patient import Airway, Cyst, NoduleFacts
from lungscan.clinical.rounding import in_mm

JUXTAPLEURAL_LIMIT = 100
"""Tenths of a millimetre of mean diameter; one trade article prints "<= 10 mm", the other sources "< 10 mm"."""

AIRWAY: dict[tuple[Airway, Status], str] = {
    (Airway.subsegmental, Status.baseline): "2",
    (Airway.subsegmental, Status.new): "2",
    (Airway.subsegmental, Status.stable): "2",
    (Airway.segmental, Status.baseline): "4A",
    (Airway.segmental, Status.stable): "4B",
    (Airway.segmental, Status.growing): "4B",
}
SECRETIONS = "2"
TUBULAR = "0 or 2"

CYST: dict[Cyst, str | None] = {
    Cyst.thin_walled: None,
    Cyst.fluid_filled: None,
    Cyst.many: None,
    Cyst.cavity_grows: "3",
    Cyst.thick_walled: "4A",
    Cyst.multilocular: "4A",
    Cyst.turned_multilocular: "4A",
    Cyst.wall_grows: "4B",
    Cyst.multilocular_grows: "4B",
}


def described(facts: NoduleFacts, kind: Kind, mean: int, status: Status) -> Row | None:
    """The row that the reader's facts fire, None when size decides; `mean` in tenths of a millimetre."""
    if facts.proven_benign:
        return Row("2", "proven benign by work-up")
    if facts.benign:
        return Row("1", "benign features: fat, or complete, central, popcorn or ring calcification")
    if facts.airway is not None:
        return _airway(facts.airway, status)
    if facts.cyst is not None:
        category = CYST[facts.cyst]
        said = f"cyst, {facts.cyst}"
        return Row(category, said if category else f"{said}: the row of atypical cysts does not classify it")
    if facts.juxtapleural and kind is Kind.solid:
        return _juxtapleural(mean, status)
    return None


def _airway(airway: Airway, status: Status) -> Row:
    if airway is Airway.secretions:
        return Row(SECRETIONS, "airway, with air inside: secretions")
    if airway is Airway.tubular:
        return Row(TUBULAR, "airway, several tubular ones: infection")
    category = AIRWAY.get((airway, status))
    said = f"{airway} airway nodule, {status}"
    return Row(category, said if category else f"the table has no row for a {said}")


def _juxtapleural(mean: int, status: Status) -> Row | None:
    if mean >= JUXTAPLEURAL_LIMIT or status in (Status.growing, Status.slowly_growing):
        return None
    because = f"juxtapleural, solid, smooth, {status}, {in_mm(mean)} mm < {in_mm(JUXTAPLEURAL_LIMIT)} mm"
    stable = "the table names this row for baseline and new nodules; a stable one is taken with them"
    return Row("2", because, stable if status is Status.stable else "")
