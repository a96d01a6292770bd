"""The network: what both frameworks share, ``torch`` and ``mindspore``."""
