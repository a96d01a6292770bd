"""Training: configuration, data feed, loop, resumable state."""
