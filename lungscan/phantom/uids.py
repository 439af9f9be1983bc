"""DICOM UIDs that are the same in every run: under 2.25, the root for UUIDs (DICOM PS3.5, B.2)."""

from __future__ import annotations

import uuid

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "phantom.lungscan")


def uid(*names: object) -> str:
    """The UID of what these names name, such as ("series", seed, index)."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, '/'.join(map(str, names))).int}"
