"""A ResNet-18 of a quarter of the width, in the place of torchvision's.

What a test asks of the loop, the log and the page does not depend on how wide the network is, and
a training costs a tenth. What does depend on it asks for ``full_width``; commands that tests start
as a user would have it anyway. Imported before ``al_core.models.network``.
"""

from __future__ import annotations

from torch import nn
from torchvision import models
from torchvision.models.resnet import BasicBlock, ResNet

full_width_resnet18 = models.resnet18


class Narrow(ResNet):
    """16, 32, 64 and 128 channels."""

    def __init__(self, classes: int) -> None:
        super().__init__(BasicBlock, [2, 2, 2, 2])
        self.conv1 = nn.Conv2d(3, 16, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.fc = nn.Linear(128, classes)

    def _make_layer(self, block, planes, blocks, stride=1, dilate=False):
        if stride == 1:
            self.inplanes = 16
        return super()._make_layer(block, planes // 4, blocks, stride, dilate)


def resnet18(*, weights: None = None, num_classes: int = 1000) -> ResNet:
    return Narrow(num_classes)


models.resnet18 = resnet18
