"""An earlier scan beside a newer one: lungs aligned, nodules matched, each one's change measured."""
