"""Synthetic chests with known nodules, and data sets of them in LUNA16's layout."""

from lungscan.phantom.chest import Phantom, make_chest
from lungscan.phantom.dataset import WrittenScan, write_dataset
from lungscan.phantom.nodules import PhantomNodule

__all__ = ["Phantom", "PhantomNodule", "WrittenScan", "make_chest", "write_dataset"]
