"""Run by the PyTorch environment: weights, inputs and answers to compare with, into argv[1]."""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from small_models import make_tiny_model, random_params

from synergynet.geometry.conventions import Conventions
from synergynet.geometry.params import Whitening
from synergynet.nets.loss_terms import LOSS_NAMES
from synergynet.nets.torch.backbones import build_backbone
from synergynet.nets.torch.checkpoints import describe, save_checkpoint
from synergynet.nets.torch.synergynet import SynergyNet
from synergynet.training.config import OptimizerConfig
from synergynet.training.torch.network import build_optimizer

folder = Path(sys.argv[1])
torch.set_num_threads(1)
torch.manual_seed(0)
model = make_tiny_model()
raw = random_params(64, spread=0.5)
whitening = Whitening(raw.mean(axis=0), raw.std(axis=0))
crops = torch.rand(4, 3, 120, 120) * 2 - 1
target = torch.randn(4, 62) * 0.5
WEIGHTS = dict.fromkeys(LOSS_NAMES, 1.0)

for name in ("mobilenet_v2", "efficientnet_lite0"):
    out = {"crops": crops.numpy(), "target": target.numpy()}
    for kind in ("exact", "official"):
        net = SynergyNet(
            build_backbone(name, dropout=0.0), model, whitening, getattr(Conventions, kind)()
        )
        if kind == "exact":
            for module in net.modules():
                if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                    module.running_mean.normal_(0, 0.1)
                    module.running_var.uniform_(0.5, 2)
                    module.weight.data.uniform_(0.5, 1.5)
                    module.bias.data.normal_(0, 0.1)
                    module.num_batches_tracked.fill_(7)
            state = {key: value.clone() for key, value in net.state_dict().items()}
            info = describe(net, training_data="nothing", frame="pixel", extra={"note": "é"})
            save_checkpoint(folder / f"{name}.safetensors", net, info)
        net.load_state_dict(state)
        with torch.no_grad():
            landmarks = net.landmarks(target)
            out["target_landmarks"] = landmarks.numpy()
            params, feature = net.eval().I2P(crops)
            out["params"], out["feature"] = params.numpy(), feature.numpy()
        net.train()
        losses = net.training_losses(crops, target, landmarks, WEIGHTS)
        out[f"{kind}_losses"] = np.array([losses[n].item() for n in LOSS_NAMES])
        if kind == "official" or name != "mobilenet_v2":
            continue
        for optimizer_name, rate in (("sgd", 0.01), ("adamw", 1e-3)):
            net.load_state_dict(state)
            config = OptimizerConfig(
                name=optimizer_name, learning_rate=rate, weight_decay=0.01, clip_norm=5.0
            )
            optimizer = build_optimizer(net, config)
            optimizer.zero_grad()
            sum(net.training_losses(crops, target, landmarks, WEIGHTS).values()).backward()
            nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimizer.step()
            for key, value in net.state_dict().items():
                if "." in key:
                    out[f"{optimizer_name}/{key}"] = value.numpy().copy()
            if optimizer_name == "adamw":
                for key, parameter in net.named_parameters():
                    out[f"gradient/{key}"] = parameter.grad.numpy().copy()
    np.savez(folder / f"{name}.npz", **out)
