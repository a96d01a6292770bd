"""What ``speed.py`` consists of: what is measured, by which processes, and how it is told."""
