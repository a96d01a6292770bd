"""Damaged files for every reader: made by ``make``, run by ``trial``, mutated by ``fuzz``."""
