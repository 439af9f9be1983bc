"""How the shipped networks are made, from five patients' scans, the readers' outlines and phantoms (needs torch)."""
