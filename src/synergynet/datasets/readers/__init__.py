"""Data sets and training lists, read behind one protocol."""
