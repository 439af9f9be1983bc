"""What published guidelines say of measured nodules: pure functions on plain values, each naming its source and version.

They restate published tables and are no medical advice. A fact that is missing is named, never guessed.
"""
