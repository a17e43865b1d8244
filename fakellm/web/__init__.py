"""HTTP: the only code that imports klein."""
