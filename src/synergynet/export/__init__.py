"""Export of trained networks to deployment formats.

The walk of a checkpoint: ``cli/export``, ``weights/{formats,tensors,info}``, ``formats``,
``nets/torch/backbones`` and the network's own file, ``graphs``, ``onnx``, ``verify``.
"""
