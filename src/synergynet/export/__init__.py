"""Export of trained networks to deployment formats."""
