"""The network in torch: backbones, MAFA, landmark regressor, losses, checkpoints."""
