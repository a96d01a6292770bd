"""Training in MindSpore: the loop of ``training/`` with the same data, schedule and validation."""
