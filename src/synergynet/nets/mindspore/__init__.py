"""The network in MindSpore, and its ``.ckpt`` files, which are read and written without it."""
