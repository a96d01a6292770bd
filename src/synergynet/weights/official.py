"""What an official ``.pth.tar`` means: 445 entries, face model and whitening included.

Here they are NumPy arrays; ``nets/torch/official_checkpoint.py`` gets them out of the file.
"""

import numpy as np

from ..errors import SynergyNetError
from ..face_model.model import NO_TRIANGLES, FaceModel
from ..face_model.official import OFFICIAL_NAME
from ..geometry.conventions import Conventions
from ..geometry.landmarks import N_LANDMARKS
from ..geometry.params import N_EXPRESSION, N_PARAMS, N_SHAPE, Whitening
from .architectures import Shape, state_shapes
from .info import ChannelOrder, WeightsInfo
from .tensors import Arrays, Official, Weights, check_tensors

ARCHITECTURE = "mobilenet_v2"
"""The only one that the official code trains."""
N_PARAMS_WITH_TEXTURE = 102
"""Whitening of files made with texture labels: 40 texture coefficients that no one uses."""
OFFICIAL_BUFFERS = (
    "param_mean", "param_std", "w_shp", "u", "w_exp", "u_base", "w_shp_base", "w_exp_base",
)  # fmt: skip
"""Whitening and face model as an official checkpoint names and orders them."""


def flat_basis(basis: np.ndarray) -> np.ndarray:
    """(modes, n, 3) -> (3n, modes): rows x0, y0, z0, x1, ..., the official layout."""
    return np.ascontiguousarray(basis.reshape(len(basis), -1).T)


def face_buffers(model: FaceModel, *, dense: bool = True) -> dict[str, np.ndarray]:
    """A face model's arrays under their official names, in the official order.

    Args:
        dense: also the whole mesh's, not the landmarks' alone.
    """
    mesh = {
        "w_shp": flat_basis(model.identity_basis),
        "u": model.mean.reshape(-1, 1),
        "w_exp": flat_basis(model.expression_basis),
    }
    landmarks = {
        "u_base": model.landmark_mean.reshape(-1, 1),
        "w_shp_base": flat_basis(model.landmark_identity),
        "w_exp_base": flat_basis(model.landmark_expression),
    }
    return mesh | landmarks if dense else landmarks


def official_weights(source: str, entries: Arrays, official: Official) -> Weights:
    """Weights of the entries of an official checkpoint, without the ``module.`` prefix.

    Args:
        source: the file, for error messages.
        entries: the trained tensors, and perhaps the buffers.
        official: its buffers may be among ``entries`` instead.

    Raises:
        SynergyNetError: an entry is missing, unknown or misshapen, or the landmarks are no
            vertices of the mesh.
    """
    every = {**official.buffers, **entries}
    buffers = {name: every[name] for name in OFFICIAL_BUFFERS if name in every}
    tensors = {name: array for name, array in every.items() if name not in buffers}
    rows = len(buffers["u"]) if "u" in buffers and buffers["u"].ndim == 2 else 0
    plain = {
        name: array[:N_PARAMS] if array.shape == (N_PARAMS_WITH_TEXTURE,) else array
        for name, array in buffers.items()
    }
    wanted = _buffer_shapes(max(3, rows - rows % 3)) | state_shapes(ARCHITECTURE)
    check_tensors(source, wanted, plain | tensors)
    model = _face_model(source, plain)
    try:
        whitening = Whitening(plain["param_mean"], plain["param_std"])
    except ValueError as error:
        raise SynergyNetError(f"{source}: {error}; use an unmodified checkpoint") from error
    info = published_info(
        model, whitening, "an official SynergyNet checkpoint", epoch=official.epoch
    )
    official = Official(buffers, official.epoch, official.archive_name, official.versions)
    return Weights(source, tensors, info, official=official, face_model=model)


def published_info(
    model: FaceModel,
    whitening: Whitening,
    training_data: str,
    channel_order: ChannelOrder = "BGR",
    **extra: int,
) -> WeightsInfo:
    """Of a network that the published code, or its MindSpore port, trained on 300W-LP."""
    return WeightsInfo(
        architecture=ARCHITECTURE,
        face_model=model.name,
        face_model_hash=model.hash,
        whitening=whitening,
        training_data=f"{training_data} (300W-LP)",
        frame="protocol",
        border=Conventions.official().border,
        channel_order=channel_order,
        extra=extra,
    )


def as_official(weights: Weights) -> Official:
    """What an official checkpoint holds beside ``weights.tensors``.

    Raises:
        SynergyNetError: the format cannot hold such weights (it has no room for another
            architecture, frame, channel order, or landmarks inside triangles), or
            ``weights.face_model`` is not the one that they were trained with.
    """
    if weights.official is not None:
        return weights.official
    info, model = weights.described(), weights.face_model
    assert model is not None, "the caller finds the face model"
    if info.architecture != ARCHITECTURE or not weights.regularisers:
        raise SynergyNetError(
            f"{weights.source}: an official checkpoint holds a whole {ARCHITECTURE} network with "
            f"MAFA and regressor, not this {info.architecture}; take .safetensors or .ckpt"
        )
    if info.frame != "protocol" or info.channel_order != "BGR":
        raise SynergyNetError(
            f"{weights.source}: answers in frame '{info.frame}' from {info.channel_order} crops, "
            "which an official checkpoint cannot say; take .safetensors or .ckpt"
        )
    info.check_face_model(model, weights.source)
    if (model.landmark_weights.max(axis=1) < 1).any():
        raise SynergyNetError(
            f"face model '{model.name}' has landmarks inside triangles, which an official "
            "checkpoint cannot hold; take .safetensors or .ckpt"
        )
    whitening = {"param_mean": info.whitening.mean, "param_std": info.whitening.std}
    return Official(whitening | face_buffers(model), int(info.extra.get("epoch", 0)), None, {})


def _face_model(source: str, arrays: Arrays) -> FaceModel:
    """The face model (without triangles) inside an official checkpoint.

    Landmark vertices are found by comparing the landmark rows with the mesh rows exactly.
    """
    mean = arrays["u"].reshape(-1, 3)
    n = len(mean)
    mesh = np.hstack([arrays[name].reshape(n, -1) for name in ("u", "w_shp", "w_exp")])
    wanted = [arrays[f"{name}_base"].reshape(N_LANDMARKS, -1) for name in ("u", "w_shp", "w_exp")]
    index = {row.tobytes(): vertex for vertex, row in reversed(list(enumerate(mesh)))}
    try:
        vertices = [index[row.tobytes()] for row in np.hstack(wanted)]
    except KeyError as error:
        raise SynergyNetError(
            f"{source}: its landmarks (u_base, w_shp_base, w_exp_base) are not vertices "
            "of its mesh (u, w_shp, w_exp); use an unmodified official checkpoint"
        ) from error
    return FaceModel(
        name=OFFICIAL_NAME,
        mean=mean,
        identity_basis=arrays["w_shp"].T.reshape(N_SHAPE, n, 3),
        expression_basis=arrays["w_exp"].T.reshape(N_EXPRESSION, n, 3),
        triangles=NO_TRIANGLES,
        landmark_vertices=np.repeat(np.array(vertices, np.int32)[:, None], 3, axis=1),
        landmark_weights=np.tile(np.array([1, 0, 0], np.float32), (N_LANDMARKS, 1)),
        millimetres_per_unit=1e-3,
    )


def _buffer_shapes(rows: int) -> dict[str, Shape]:
    """Of :data:`OFFICIAL_BUFFERS`, for ``rows`` coordinates of the mesh."""
    landmark_rows = 3 * N_LANDMARKS
    return {
        "param_mean": (N_PARAMS,),
        "param_std": (N_PARAMS,),
        "w_shp": (rows, N_SHAPE),
        "u": (rows, 1),
        "w_exp": (rows, N_EXPRESSION),
        "u_base": (landmark_rows, 1),
        "w_shp_base": (landmark_rows, N_SHAPE),
        "w_exp_base": (landmark_rows, N_EXPRESSION),
    }
