"""lungscan: from a chest CT to a report of its nodules.

>>> import lungscan
>>> report = lungscan.scan("scan.zip")          # doctest: +SKIP
>>> [n.diameter_mm for n in report.nodules]     # doctest: +SKIP

Nothing heavy is imported until one of these names is used.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOME = {
    "Report": "lungscan.findings",
    "Settings": "lungscan.settings",
    "Volume": "lungscan.volume",
    "read": "lungscan.readers",
    "scan": "lungscan.pipeline",
}
__all__ = ["Report", "Settings", "Volume", "read", "scan"]

# In a checkout `lungscan.kernels` and `lungscan.engines` are the folders beside this package; once installed they lie in it.
_root = Path(__file__).resolve().parent.parent
if (_root / "pyproject.toml").is_file() and (_root / "kernels" / "__init__.py").is_file():
    __path__.append(str(_root))

if TYPE_CHECKING:
    from lungscan.findings import Report
    from lungscan.pipeline import scan
    from lungscan.readers import read
    from lungscan.settings import Settings
    from lungscan.volume import Volume


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'lungscan' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
