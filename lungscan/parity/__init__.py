"""Engines held to a reference: what two say of one scan, and the gate that every export and every engine must pass."""
