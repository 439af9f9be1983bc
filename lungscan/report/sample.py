"""A made-up report, for tests and for a look at the terminal."""

from __future__ import annotations

import math

from lungscan.findings import (
    CandidateCounts,
    InputFacts,
    LungFacts,
    Nodule,
    Patient,
    Report,
    Thresholds,
    UsedSettings,
    WeightsFacts,
)
from lungscan.volume import Notice, Triple

_ORIGIN = (-175.5, -172.25, -318.5)
_SPACING = (2.5, 0.703125, 0.703125)


def sample_report() -> Report:
    """Four candidates, three of them nodules, one of these suspicious."""
    candidates = (
        _nodule(1, (87.31, 299.4, 352.73), 21.84, 0.999412, 0.871253, suspicious=True),
        _nodule(2, (41.06, 210.95, 122.4), 6.42, 0.961207, 0.118706, suspicious=False),
        _nodule(3, (66.9, 333.2, 371.05), 4.08, 0.734551, 0.042118, suspicious=False),
        _nodule(4, (101.5, 150.0, 300.25), 3.11, 0.120931, None, suspicious=False),
    )
    return Report(
        version="0.1.0",
        created="2026-01-31T12:00:00+00:00",
        input=InputFacts(
            path="scans/chest.zip",
            format="dicom",
            series_uid="1.2.826.0.1.3680043.8.498.10375290413385229064171265024818513721",
            shape_irc=(133, 512, 512),
            spacing_irc_mm=_SPACING,
            origin_xyz_mm=_ORIGIN,
            direction=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
            sha256="5b1e" * 16,
            skipped_series=("1.2.826.0.1.3680043.8.498.77",),
            facts={"maker": "Acme", "kernel": "B30f", "thickness": "2.5"},
        ),
        lungs=LungFacts(volume_ml=4812.4, box_irc=((12, 121), (84, 420), (61, 455))),
        settings=UsedSettings(
            weights=WeightsFacts("phantom-demo", "c0ffee" * 10 + "c0ff"),
            engine="openvino 2026.4.1",
            precision="fp32",
            device="cpu",
            thresholds=Thresholds(segmentation=0.5, nodule=0.5, malignancy=0.5),
            rule="two-of-four",
            lung_gate=True,
        ),
        nodules=candidates[:3],
        candidates=CandidateCounts(total=4, kept=3, all=candidates),
        patient=Patient(
            suspicious=True,
            p_malignant_max=0.871253,
            rule="suspicious when a nodule has P(malignant) >= 0.5; the network learned malignant as: malignant if at least "
            "two of up to four readers rated it 4 or 5",
        ),
        warnings=(Notice("thick_slices", "slices are 2.5 mm apart: nodules under 5 mm may be missed."),),
        timing_s={
            "load": 0.412,
            "read": 0.231,
            "normalise": 0.094,
            "segment": 9.618,
            "group": 0.051,
            "classify": 0.677,
            "diagnose": 0.001,
            "report": 0.083,
            "total": 11.167,
        },
    )


def _nodule(
    id_: int, irc: Triple, diameter_mm: float, p_nodule: float, p_malignant: float | None, *, suspicious: bool
) -> Nodule:
    i, r, c = irc
    x, y, z = (o + k * s for o, k, s in zip(_ORIGIN, (c, r, i), reversed(_SPACING), strict=True))
    a, b, d = ((int(k - diameter_mm / 2 / s), int(k + diameter_mm / 2 / s) + 2) for k, s in zip(irc, _SPACING, strict=True))
    return Nodule(
        id=id_,
        centre_irc=irc,
        centre_xyz_mm=(x, y, z),
        slice=round(i),
        diameter_mm=diameter_mm,
        volume_mm3=math.pi / 6 * diameter_mm**3,
        box_irc=(a, b, d),
        hu_mean=-12.4 - 40 * id_,
        hu_max=214 - 30 * id_,
        p_segmentation=0.98,
        p_nodule=p_nodule,
        p_malignant=p_malignant,
        suspicious=suspicious,
    )
