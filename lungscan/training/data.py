"""What a training learns from and what it is judged by: a cache, cut in two between patients as its split says."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from lungscan.errors import InputRefused, UsageError
from lungscan.training import splits
from lungscan.training.cache import Cache, Entry
from lungscan.weights.card import Card


@dataclass(frozen=True)
class Data:
    """Entries of the training patients, painted copies included, and of the validation patients, originals alone."""

    cache: Cache
    training: tuple[Entry, ...]
    validation: tuple[Entry, ...]

    @classmethod
    def open(cls, folder: Path, card: Card) -> Data:
        """Raises UsageError without the folder; InputRefused without a cache or a split of all its patients, when its grid
        is not the card's, and when one of the two sets has no nodule."""
        if not folder.is_dir():
            raise UsageError(f"there is no folder {folder}; make a cache with `lungscan prepare DATASET --cache {folder}`.")
        cache = Cache(folder)
        entries, sets = cache.entries(), splits.read(folder)
        for entry in entries:
            if card.input.spacing_irc_mm not in (None, entry.spacing_irc_mm):
                raise InputRefused(
                    f"{folder} holds {entry.name} on a grid of {entry.spacing_irc_mm} mm, and the card asks for "
                    f"{card.input.spacing_irc_mm}; prepare another cache, or give another --card."
                )
            if entry.patient not in sets:
                raise InputRefused(f"{folder / splits.FILE} does not hold {entry.patient}; run `lungscan prepare` again.")
        training = tuple(e for e in entries if sets[e.patient] == "training")
        validation = tuple(e for e in entries if sets[e.patient] == "validation" and not e.is_copy)
        for name, some in (("trains", training), ("validates", validation)):
            if not any(entry.nodules for entry in some):
                raise InputRefused(f"no patient of {folder} with a nodule {name}; prepare more scans.")
        return cls(cache, training, validation)

    @property
    def digest(self) -> str:
        """Of what trains and what validates, by name and series."""
        names = [[f"{entry.name} {entry.series}" for entry in some] for some in (self.training, self.validation)]
        return hashlib.sha256(str(names).encode()).hexdigest()[:12]
