"""Wheel + calibration -> the shipped ``FaceModel``."""

import numpy as np

from synergynet.face_model.model import FaceModel

from .calibrate import Calibration
from .dictionary import base_face, expression_units, identity_dictionaries, mirror_names
from .source import Array, Source
from .topology import Head, eye_opening, eye_scale

NAME = "open-head-1"


def units_on_head(source: Source, head: Head, mean_base: Array, fields: Array) -> Array:
    """Displacements (U, V, 3) of the head; the eyes flatten as the lids close over them."""
    rest = head.matrix @ mean_base
    out = np.stack([head.matrix @ field for field in fields])
    for eye in head.eyes:
        opening = eye_opening(rest, eye)
        for unit in out:
            closed = 1 - eye_opening(rest + unit, eye) / opening
            unit[eye.inner] -= np.clip(closed, 0, 1) * head.bulge[eye.inner]
    return out


def assemble(source: Source, head: Head, calibration: Calibration) -> FaceModel:
    """The complete model, in millimetres."""
    linear, shift = calibration.transform[:, :3], calibration.transform[:, 3]
    region = np.asarray(abs(head.matrix).sum(axis=0)).ravel() > 0
    face = base_face(source)
    symmetric, antisymmetric = identity_dictionaries(source, calibration.centres, region)
    mean_base = face + np.tensordot(calibration.mean, symmetric.fields, axes=1)
    mean = (head.matrix @ mean_base + head.bulge) @ linear.T + shift
    modes_base = np.tensordot(calibration.symmetric.T, symmetric.fields, axes=1)
    modes_base += np.tensordot(calibration.antisymmetric.T, antisymmetric.fields, axes=1)
    identity = np.stack([head.matrix @ field for field in modes_base]) @ linear.T
    names, fields = expression_units(source, eye_scale(head, face, mean_base))
    units = units_on_head(source, head, mean_base, fields) @ linear.T
    expression = np.tensordot(calibration.units.T, units, axes=1)

    # Fix each mode's sign so that a rebuild cannot flip it: the largest entry is positive.
    twin = mirror_names(names)
    id_signs = np.where(np.abs(calibration.symmetric).sum(axis=0) > 0, 1.0, -1.0)
    ex_signs = np.array(
        [
            1.0 if np.allclose(column[twin], column, atol=1e-6) else -1.0
            for column in calibration.units.T
        ]
    )
    # Least-squares coefficients of each unit in the 10 modes, over the whole head.
    flat = expression.reshape(10, -1)
    coefficients = np.linalg.lstsq(flat.T, units.reshape(len(units), -1).T, rcond=None)[0].T
    return FaceModel(
        name=NAME,
        mean=mean,
        identity_basis=identity,
        expression_basis=expression,
        triangles=head.triangles.astype(np.int32),
        landmark_vertices=calibration.landmark_vertices,
        landmark_weights=calibration.landmark_weights,
        millimetres_per_unit=1.0,
        uv=head.uv,
        unit_names=names,
        unit_coefficients=coefficients,
        unit_shapes=units,
        mirror_signs=np.concatenate([id_signs, ex_signs]),
    )
