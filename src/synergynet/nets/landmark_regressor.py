"""The landmark-to-3DMM regressor (official name MLP_rev): refined landmarks back to 62 numbers."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..geometry.params import N_EXPRESSION, N_POSE, N_SHAPE


class LandmarkRegressor(nn.Module):
    """PointNet over 68 landmarks with three heads; 215,354 parameters.

    Args:
        final_relu: keep the official ReLU after the heads, which confines the whitened
            parameters to values >= 0.
    """

    def __init__(self, final_relu: bool = False) -> None:
        super().__init__()
        self.final_relu = final_relu
        self.conv1 = nn.Conv1d(3, 64, 1)
        self.conv2 = nn.Conv1d(64, 64, 1)
        self.conv3 = nn.Conv1d(64, 64, 1)
        self.conv4 = nn.Conv1d(64, 128, 1)
        self.conv5 = nn.Conv1d(128, 1024, 1)
        self.conv6_1 = nn.Conv1d(1024, N_POSE, 1)
        self.conv6_2 = nn.Conv1d(1024, N_SHAPE, 1)
        self.conv6_3 = nn.Conv1d(1024, N_EXPRESSION, 1)
        self.bn1 = nn.BatchNorm1d(64)
        self.bn2 = nn.BatchNorm1d(64)
        self.bn3 = nn.BatchNorm1d(64)
        self.bn4 = nn.BatchNorm1d(128)
        self.bn5 = nn.BatchNorm1d(1024)
        self.bn6_1 = nn.BatchNorm1d(N_POSE)
        self.bn6_2 = nn.BatchNorm1d(N_SHAPE)
        self.bn6_3 = nn.BatchNorm1d(N_EXPRESSION)

    def forward(self, landmarks: Tensor) -> Tensor:
        """(B, 3, 68) refined landmarks in the crop1 frame -> (B, 62) whitened [pose | shape | exp].

        Trained with the official slice (``Conventions.regressor_slice == "first50"``) the
        outputs do not mean that: see :func:`synergynet.nets.losses.regressed_coefficients`.
        """
        x = F.relu(self.bn1(self.conv1(landmarks)))
        x = F.relu(self.bn2(self.conv2(x)))
        x = F.relu(self.bn3(self.conv3(x)))
        x = F.relu(self.bn4(self.conv4(x)))
        x = F.relu(self.bn5(self.conv5(x)))
        x = x.amax(dim=2, keepdim=True)
        pose = self.bn6_1(self.conv6_1(x))
        shape = self.bn6_2(self.conv6_2(x))
        expression = self.bn6_3(self.conv6_3(x))
        params = torch.cat([pose, shape, expression], dim=1).flatten(1)
        return F.relu(params) if self.final_relu else params
