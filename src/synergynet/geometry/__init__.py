"""Pure NumPy geometry: parameters, cameras, frames, crops, landmark tables."""
