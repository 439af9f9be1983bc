"""placeholder until the phantom room brings the named rules"""

from types import SimpleNamespace

RULES = {"two-of-four": SimpleNamespace(sentence="at least two of up to four readers gave 4 or 5")}
