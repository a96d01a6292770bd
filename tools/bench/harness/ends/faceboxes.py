"""A network of the shape of FaceBoxes, for its time: Zhang et al., 2017 (arXiv 1708.05234).

The official SynergyNet finds faces with it. Its weights cannot be had from PyPI, so that these are
random: a run costs what the official one costs, and its answer means nothing.
"""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

MAX_SIZE = (720, 1080)
"""Pixels of height and width to which larger photos are scaled down."""

MEAN = np.array((104, 117, 123), dtype=np.float32)
"""Blue, green and red that are subtracted."""

ANCHORS = (21, 1, 1)
"""Per place, on maps of a 32nd, a 64th and a 128th of the photo's side."""


class Convolution(nn.Module):
    """Convolution, batch norm, ReLU; with ``both``, of the negative too (CReLU)."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, *, both: bool = False
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.both = both

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        return F.relu(torch.cat([x, -x], dim=1) if self.both else x)


class Inception(nn.Module):
    """Four looks of 32 channels at 128."""

    def __init__(self) -> None:
        super().__init__()
        self.near = Convolution(128, 32)
        self.pooled = Convolution(128, 32)
        self.wide = nn.Sequential(Convolution(128, 24), Convolution(24, 32, 3))
        self.wider = nn.Sequential(
            Convolution(128, 24), Convolution(24, 32, 3), Convolution(32, 32, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        pooled = F.avg_pool2d(x, 3, stride=1, padding=1)
        return torch.cat([self.near(x), self.pooled(pooled), self.wide(x), self.wider(x)], dim=1)


class FaceBoxesNet(nn.Module):
    """1,010,317 numbers, those of the batch norms included, as in the official file."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            Convolution(3, 24, 7, 4, both=True),
            nn.MaxPool2d(3, 2, 1),
            Convolution(48, 64, 5, 2, both=True),
            nn.MaxPool2d(3, 2, 1),
        )
        self.maps = nn.ModuleList(
            [
                nn.Sequential(Inception(), Inception(), Inception()),
                nn.Sequential(Convolution(128, 128), Convolution(128, 256, 3, 2)),
                nn.Sequential(Convolution(256, 128), Convolution(128, 256, 3, 2)),
            ]
        )
        pairs = list(zip((128, 256, 256), ANCHORS, strict=True))
        self.boxes = nn.ModuleList([nn.Conv2d(c, 4 * n, 3, 1, 1) for c, n in pairs])
        self.scores = nn.ModuleList([nn.Conv2d(c, 2 * n, 3, 1, 1) for c, n in pairs])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(1, 3, H, W) -> boxes (A, 4) and probabilities (A, 2) of all anchors."""
        x, boxes, scores = self.stem(x), [], []
        for layers, box, score in zip(self.maps, self.boxes, self.scores, strict=True):
            x = layers(x)
            boxes.append(box(x).permute(0, 2, 3, 1).reshape(-1, 4))
            scores.append(score(x).permute(0, 2, 3, 1).reshape(-1, 2))
        return torch.cat(boxes), F.softmax(torch.cat(scores), dim=1)


def look(network: FaceBoxesNet, bgr: NDArray[np.uint8]) -> None:
    """What a look at a photo costs, less anchors and suppression, which need real answers."""
    height, width = bgr.shape[:2]
    scale = min(1.0, MAX_SIZE[0] / height)
    scale *= min(1.0, MAX_SIZE[1] / (width * scale))
    small = bgr if scale == 1 else cv2.resize(bgr, None, fx=scale, fy=scale)
    planes = torch.from_numpy((np.float32(small) - MEAN).transpose(2, 0, 1)[None])
    with torch.no_grad():
        boxes, scores = network(planes)
    _ = boxes.numpy(), scores.numpy()
