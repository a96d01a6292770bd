"""The parts of a run; each answers with rows for the JSON."""
