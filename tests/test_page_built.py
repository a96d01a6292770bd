"""The built page in the package belongs to its source, and is small."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from helpers import REPO

from synergynet.face_model.open_head import load_open_head
from synergynet.serve.engine_files import NETWORKS, head_file, settings_file

WEB = REPO / "web"
BUILT = REPO / "src" / "synergynet" / "serve" / "data"
SINGLE = ("docs.html", "index.html", "package-lock.json", "package.json", "tsconfig.json")


def digest(paths: list[Path], base: Path) -> str:
    out = hashlib.sha256()
    for path in paths:
        out.update(path.relative_to(base).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return out.hexdigest()


def files_of(folder: Path) -> list[Path]:
    """As web/tools/stamp.mjs walks: folder by folder, each sorted."""
    out: list[Path] = []
    for path in sorted(folder.iterdir(), key=lambda one: one.name):
        out += files_of(path) if path.is_dir() else [path]
    return out


def test_the_built_page_belongs_to_its_source() -> None:
    stamp = json.loads((BUILT / "BUILT.json").read_text())
    source = [*(WEB / name for name in (*SINGLE, "vite.config.ts"))]
    for folder in ("licences", "src", "tools"):
        source += files_of(WEB / folder)
    cure = "the page was changed: cd web && npm ci && npm run build"
    assert digest(source, WEB) == stamp["source"], cure
    built = [path for path in files_of(BUILT) if path.name != "BUILT.json"]
    assert digest(built, BUILT) == stamp["built"], cure


def test_page_networks_and_head_are_below_12_mb() -> None:
    page = sum(path.stat().st_size for path in BUILT.iterdir())
    networks = sum(path.stat().st_size for path in NETWORKS.values())
    head = (REPO / "src/synergynet/face_model/data/open_head.npz").stat().st_size
    assert page + networks + head < 12e6


def test_nothing_in_the_page_names_another_host() -> None:
    """ONNX Runtime's and three.js' error texts name their documentation; nothing loads from it."""
    for path in BUILT.glob("*.html"):
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text and "https:" not in text and "//" not in text, path


def read_head() -> dict[str, np.ndarray]:
    data = head_file()
    assert data[:4] == b"SNH1"
    (length,) = struct.unpack("<I", data[4:8])
    about = json.loads(data[8 : 8 + length])
    out = {}
    for name, (kind, shape, offset) in about["arrays"].items():
        assert (8 + length + offset) % np.dtype(kind).itemsize == 0
        count = int(np.prod(shape))
        out[name] = np.frombuffer(data, "<" + kind, count, 8 + length + offset).reshape(shape)
    return out


def test_the_head_of_the_page_is_open_head() -> None:
    model, head = load_open_head(), read_head()
    assert (head["mean"] == model.mean).all()
    assert (head["triangles"] == model.triangles).all()
    for name, want in (
        ("identity", model.identity_basis),
        ("expression", model.expression_basis),
    ):
        scale = head[f"{name}_scale"][:, None, None]
        assert np.allclose(head[name] * scale, want, atol=1e-5)
    assert model.unit_shapes is not None
    for unit in (0, 24, 51):
        part = slice(head["unit_start"][unit], head["unit_start"][unit + 1])
        moves = np.zeros_like(model.mean)
        moves[head["unit_vertices"][part]] = head["unit_moves"][part] * head["unit_scale"][unit]
        assert np.allclose(moves, model.unit_shapes[unit], atol=1e-5)
    assert (head["uv_source"][head["uv_triangles"]] == model.triangles).all()


def test_the_settings_are_those_of_quality_fast() -> None:
    settings = json.loads(settings_file())
    assert settings["detector"]["turned_side"] == 320 and settings["looks"]["min_confidence"] == 0.5
    assert settings["network"]["frame"] == "pixel"
    assert settings["detector"]["sides"] == [160, 320, 960]
    assert len(settings["whitening"]["mean"]) == len(settings["whitening"]["std"]) == 62
    assert settings["lines"][0] == [0, 17, False] and len(settings["lines"]) == 9


def test_the_page_may_use_threads_and_make_no_requests() -> None:
    httpx = pytest.importorskip("httpx", reason="the development extras are not installed")
    pytest.importorskip("starlette", reason="the extra web is not installed")
    from serving import serving

    from synergynet.serve.app import create_app
    from synergynet.serve.pages import page_routes
    from synergynet.serve.settings import Settings

    with (
        serving(create_app(None, Settings(), page_routes())) as address,
        httpx.Client(timeout=120) as client,
    ):
        page = client.get(address)
        assert page.headers["cross-origin-opener-policy"] == "same-origin"
        assert page.headers["cross-origin-embedder-policy"] == "require-corp"
        for name in ("/", "/worker.js", "/index.js", "/ort.mjs", "/courier.js", "/docs"):
            policy = client.get(address + name).headers["content-security-policy"]
            assert policy.startswith("default-src 'none'")
            assert ("connect-src 'self'" in policy) == (name == "/courier.js"), name
        plain = client.get(address + "/ort.wasm", headers={"Accept-Encoding": "identity"})
        packed = client.get(address + "/ort.wasm")
        assert plain.content == packed.content and plain.content[:4] == b"\0asm"
        assert packed.headers["content-encoding"] == "gzip"
        tag = {"If-None-Match": plain.headers["etag"]}
        assert client.get(address + "/ort.wasm", headers=tag).status_code == 304
        for name in ("/BUILT.jso", "/..%2fpages.py", "/view/0", "/pages.py"):
            assert client.get(address + name).status_code == 404
