"""How good a system is: the field's own measures, as pure functions on arrays, and what lost each missed nodule."""
