"""The network in MindSpore."""
