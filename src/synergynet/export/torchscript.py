"""Export to TorchScript, for programs in C++ and on phones that run it."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from ..files.whole_file import whole_file
from .graphs import Deployment
from .verify import verify

METADATA_FILE = "synergynet.json"
"""In the archive; ``torch.jit.load(path, _extra_files={"synergynet.json": ""})`` reads it."""


def write_torchscript(deployed: Deployment, path: str | Path) -> dict[str, float]:
    """Trace, freeze and write; any batch size, float32. Otherwise as ``write_onnx``.

    PyTorch has declared TorchScript deprecated in favour of ``torch.export``; it still runs.
    """
    target = Path(path)
    with whole_file(target, "model.pt") as partial, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with torch.no_grad():
            traced = torch.jit.trace(deployed.module, deployed.example(), check_trace=False)
            frozen = torch.jit.freeze(traced.eval())
        metadata = json.dumps(deployed.metadata("float32"))
        torch.jit.save(frozen, str(partial), _extra_files={METADATA_FILE: metadata})
        loaded = torch.jit.load(str(partial))

        def run(batch: NDArray[Any]) -> Sequence[NDArray[Any]]:
            with torch.inference_mode():
                return [answer.numpy() for answer in loaded(torch.from_numpy(batch))]

        return verify(deployed, run, "float32", target)
