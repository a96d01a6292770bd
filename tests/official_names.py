"""State dict names of the official backbones, written down apart from the networks.

From choyingw/SynergyNet's ``backbone_nets`` (which keep the names of 3DDFA, torchvision,
GhostNet and ResNeSt).
"""

from collections.abc import Iterator

DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


def layers(*names: str, at: str = "") -> Iterator[str]:
    """State dict names of convolutions, batch norms (``*bn*``) and biased layers (``+name``)."""
    for name in names:
        bare = at + name.removeprefix("+")
        yield f"{bare}.weight"
        if "+" in name or "bn" in name:
            yield f"{bare}.bias"
        if "bn" in name:
            yield from (f"{bare}.{leaf}" for leaf in ("running_mean", "running_var"))
            yield f"{bare}.num_batches_tracked"


def in_sequence(prefix: str, convolution: int, norm: int) -> list[str]:
    """A convolution and a batch norm that are known by their numbers."""
    norms = [key.replace("bn.", f"{norm}.") for key in layers("bn")]
    return [f"{prefix}.{convolution}.weight", *(f"{prefix}.{key}" for key in norms)]


def mobilenet_v1_names() -> list[str]:
    blocks = ["dw2_1", "dw2_2", "dw3_1", "dw3_2", "dw4_1", "dw4_2", "dw6"]
    blocks += [f"dw5_{n}" for n in range(1, 7)]
    names = [*layers("conv1", "bn1", "+fc_ori", "+fc_shape", "+fc_exp", "+fc_tex")]
    return names + [
        key for b in blocks for key in layers("conv_dw", "bn_dw", "conv_sep", "bn_sep", at=f"{b}.")
    ]


def resnet_names(depth: int, split_attention: bool = False) -> list[str]:
    names = [*layers("bn1", "+fc_ori", "+fc_shape", "+fc_exp", "+fc_tex")]
    if split_attention:
        names += [*in_sequence("conv1", 0, 1), *in_sequence("conv1", 3, 4), "conv1.6.weight"]
    else:
        names += ["conv1.weight"]
    inside = ["conv1", "bn1", "conv2", "bn2"] + (["conv3", "bn3"] if depth >= 50 else [])
    if split_attention:
        inside = ["conv1", "bn1", "conv3", "bn3"]
        inside += [f"conv2.{part}" for part in ("conv", "bn0", "bn1")]
        inside += ["+conv2.fc1", "+conv2.fc2"]
    for stage, blocks in enumerate(DEPTHS[depth], start=1):
        for block in range(blocks):
            names += layers(*inside, at=f"layer{stage}.{block}.")
        if stage > 1 or depth >= 50:
            first = 1 if split_attention else 0
            names += in_sequence(f"layer{stage}.0.downsample", first, first + 1)
    return names


def ghostnet_names() -> list[str]:
    names = [*layers("conv_stem", "bn1", "+conv_head")]
    names += layers("conv", "bn1", at="blocks.9.0.")
    names += layers(*(f"+classifier_{g}" for g in ("ori", "shape", "exp", "texture")))
    stages = ("", "d", "", "ds", "s", "d", "---ss", "ds", "-s-s")  # strided, squeeze-excited
    shortcuts = {"1.0", "3.0", "5.0", "6.3", "7.0"}  # new shape
    for stage, marks in enumerate(stages):
        blocks = [marks] if stage not in (6, 8) else list(marks)
        for index, mark in enumerate(blocks):
            block = f"blocks.{stage}.{index}"
            for ghost in ("ghost1", "ghost2"):
                names += in_sequence(f"{block}.{ghost}.primary_conv", 0, 1)
                names += in_sequence(f"{block}.{ghost}.cheap_operation", 0, 1)
            if "d" in mark:
                names += layers("conv_dw", "bn_dw", at=f"{block}.")
            if "s" in mark:
                names += layers("+conv_reduce", "+conv_expand", at=f"{block}.se.")
            if f"{stage}.{index}" in shortcuts:
                names += in_sequence(f"{block}.shortcut", 0, 1)
                names += in_sequence(f"{block}.shortcut", 2, 3)
    return names
