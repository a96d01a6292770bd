"""The backbones by name; no framework is needed to read or check a name."""

from collections.abc import Mapping
from difflib import get_close_matches

from ..errors import SynergyNetError
from ..weights.architectures import check_architecture

BACKBONES: Mapping[str, str] = {
    "mobilenet_v2": "mobilenet_v2:MobileNetV2",
    "efficientnet_lite0": "efficientnet_lite:EfficientNetLite0",
    "slim": "slim:SlimNet",
    **dict.fromkeys(
        ("mobilenet_2", "mobilenet_1", "mobilenet_075", "mobilenet_05", "mobilenet_025"),
        "mobilenet_v1:MobileNetV1",
    ),
    **dict.fromkeys(
        (
            *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
            *("resnext50_32x4d", "resnext101_32x8d", "wide_resnet50_2", "wide_resnet101_2"),
        ),
        "resnet:ResNet",
    ),
    "ghostnet": "ghostnet:GhostNet",
    **dict.fromkeys(("resnest50", "resnest101"), "resnest:ResNeSt"),
}
"""Name -> file and class below ``nets/torch``; a class that stands for several is told the name."""


def check_backbone(name: str, backend: str = "torch") -> None:
    """Raise SynergyNetError for a name that the backend lacks, naming the nearest that it has.

    Args:
        backend: ``torch`` or ``mindspore``.
    """
    if backend == "mindspore":
        check_architecture(name)
    elif name not in BACKBONES:
        nearest = get_close_matches(name.lower(), BACKBONES, n=1)
        hint = f"did you mean {nearest[0]!r}? Known are" if nearest else "choose from"
        raise SynergyNetError(f"Unknown backbone {name!r}; {hint}: {', '.join(BACKBONES)}.")
