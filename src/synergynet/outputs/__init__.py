"""From faces to pictures and mesh files."""
