"""Build of the Open Head face model from CC0 MakeHuman data (see build_open_head.py)."""
