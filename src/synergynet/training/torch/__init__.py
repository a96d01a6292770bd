"""The training backend of PyTorch."""
