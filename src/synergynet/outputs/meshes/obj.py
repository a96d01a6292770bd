"""Wavefront OBJ with texture coordinates, material and texture."""

import cv2

from .mesh_data import MeshData


def encode(mesh: MeshData, stem: str) -> dict[str, bytes]:
    """File name -> content: the texture and the material first, then the mesh that needs them.

    Without a texture there is ``stem.obj`` alone.
    """
    files, texture = {}, f"{stem}_uv.png"
    lines = [f"# {mesh.name}: {mesh.placement.text}"]
    if mesh.texture is not None:
        files[texture] = cv2.imencode(".png", mesh.texture)[1].tobytes()
        material = "newmtl face\nKa 0 0 0\nKd 1 1 1\nKs 0 0 0\nillum 1\nmap_Kd " + texture + "\n"
        files[f"{stem}.mtl"] = material.encode()
        lines.append(f"mtllib {stem}.mtl")
    lines += ["v {:.4f} {:.4f} {:.4f}".format(*v) for v in mesh.vertices.tolist()]
    corners = (mesh.triangles + 1).tolist()
    if mesh.layout is None:
        lines += ["f {} {} {}".format(*t) for t in corners]
    else:
        lines += ["vt {:.6f} {:.6f}".format(*t) for t in mesh.layout.uv.tolist()]
        lines.append("usemtl face")
        texels = (mesh.layout.triangles + 1).tolist()
        lines += [
            f"f {a}/{u} {b}/{v} {c}/{w}"
            for (a, b, c), (u, v, w) in zip(corners, texels, strict=True)
        ]
    files[f"{stem}.obj"] = ("\n".join(lines) + "\n").encode()
    return files
