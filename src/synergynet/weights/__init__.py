"""What a checkpoint says and holds, in NumPy: its metadata, tensors, names and file formats."""
