"""The codes that DICOM objects speak in, each from DICOM PS3.16 or SNOMED CT as PS3.16 uses it.

Context groups: 7021 (titles), 100 (procedures), 7150 and 7159 (segments), 7464 (derivations), 7470 and 7472 (sizes),
7474 (ways to measure a volume), 7162 (kinds of algorithm). Units are UCUM's.
"""

from __future__ import annotations

from pydicom.sr.coding import Code

TITLE = Code("126000", "DCM", "Imaging Measurement Report")
PROCEDURE = Code("25045-6", "LN", "CT unspecified body region")
DEVICE = Code("121007", "DCM", "Device")
ALGORITHM_FAMILY = Code("123110", "DCM", "Artificial Intelligence")

ABNORMAL_STRUCTURE = Code("49755003", "SCT", "Morphologically Abnormal Structure")
NODULE = Code("27925004", "SCT", "Nodule")
LUNG = Code("39607008", "SCT", "Lung")

VOLUME = Code("118565006", "SCT", "Volume")
SUM_OF_VOXELS = Code("126030", "DCM", "Sum of segmented voxel method for volume")
DIAMETER = Code("81827009", "SCT", "Diameter")
LONG_AXIS = Code("103339001", "SCT", "Long axis")
SHORT_AXIS = Code("103340004", "SCT", "Short axis")
ATTENUATION = Code("112031", "DCM", "Attenuation Coefficient")
MEAN = Code("373098007", "SCT", "Mean")
CERTAINTY_OF_FINDING = Code("111012", "DCM", "Certainty of Finding")
PROBABILITY_OF_CANCER = Code("111047", "DCM", "Probability of cancer")

OWN_SCHEME = "99LUNGSCAN"
"""For what no public scheme has: DICOM leaves designators that start with 99 to their makers."""

SPHERE_OF_THIS_VOLUME = Code("SPHERE", OWN_SCHEME, "Diameter of the sphere of this volume")

MM = Code("mm", "UCUM", "mm")
MM3 = Code("mm3", "UCUM", "cubic millimeter")
HU = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
PERCENT = Code("%", "UCUM", "Percent")
