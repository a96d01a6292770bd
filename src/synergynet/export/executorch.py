"""Export to ExecuTorch (.pte) for phones and embedded processors, through its XNNPACK backend."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from ..errors import SynergyNetError
from ..files.whole_file import whole_file
from .graphs import Deployment
from .quiet import quiet
from .verify import verify

MAX_BATCH = 8
"""ExecuTorch plans its memory when it exports: the largest batch has to be known. Its conversion
(1.5) lowers any bound from 16 up to 15 by itself, so it stays below that."""

METADATA_METHOD = "synergynet_metadata"


def write_executorch(deployed: Deployment, path: str | Path) -> dict[str, float]:
    """Write a program with the methods ``forward`` (batches of 1 to 8, float32) and
    ``synergynet_metadata`` (a JSON text); otherwise as ``write_onnx``.

    Raises:
        SynergyNetError: ExecuTorch is not installed or has no XNNPACK here, or the file disagrees.
    """
    target = Path(path)
    with quiet(stderr=True):
        try:
            from executorch.backends.xnnpack.partition.xnnpack_partitioner import (
                XnnpackPartitioner,
            )
            from executorch.exir import to_edge_transform_and_lower
            from executorch.runtime import Runtime
        except ImportError as error:
            raise SynergyNetError(
                f"{target}: exporting to ExecuTorch needs its package, which is not here or does "
                f"not fit this torch {torch.__version__} ({error.name or error}): "
                'pip install "synergynet[executorch]"'
            ) from error
        if "XnnpackBackend" not in Runtime.get().backend_registry.registered_backend_names:
            raise SynergyNetError(
                f"{target}: this build of ExecuTorch has no XNNPACK backend to run the file with"
            )
        metadata = json.dumps(deployed.metadata("float32", dynamic=f"1 to {MAX_BATCH}"))
        program = torch.export.export(
            deployed.module,
            (deployed.example(),),
            dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=MAX_BATCH)},),
        )
        lowered = to_edge_transform_and_lower(
            program,
            partitioner=[XnnpackPartitioner()],
            constant_methods={METADATA_METHOD: metadata},
        ).to_executorch()
        with whole_file(target) as partial:
            with partial.open("wb") as stream:
                lowered.write_to_file(stream)
            method = Runtime.get().load_program(partial).load_method("forward")
            if method is None:
                raise SynergyNetError(f"{target}: ExecuTorch cannot read what it wrote")

            def run(batch: NDArray[Any]) -> Sequence[NDArray[Any]]:
                # Copies: the next call writes into the same memory.
                return [a.numpy().copy() for a in method.execute([torch.from_numpy(batch)])]

            return verify(deployed, run, "float32", target, batches=(1, MAX_BATCH, MAX_BATCH))
