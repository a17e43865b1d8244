"""The tests, laid out like the package; run by trial."""
