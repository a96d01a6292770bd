"""``synergynet convert`` without MindSpore: exact round trips, and hostile ``.ckpt`` files."""

import ast
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import safetensors  # noqa: E402
from helpers import one_error, run  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from small_models import torch_save  # noqa: E402

from synergynet.cli.convert import convert  # noqa: E402
from synergynet.errors import SynergyNetError  # noqa: E402
from synergynet.export import formats as export_formats  # noqa: E402
from synergynet.nets.torch.backbones import trained_backbone  # noqa: E402
from synergynet.nets.torch.checkpoints import describe, load_checkpoint, save_checkpoint  # noqa: E402
from synergynet.nets.torch.official_checkpoint import read_official  # noqa: E402
from synergynet.nets.torch.synergynet import SynergyNet  # noqa: E402
from synergynet.weights import formats  # noqa: E402
from synergynet.weights.ckpt import read_ckpt, write_ckpt  # noqa: E402
from synergynet.weights.ckpt_weights import METADATA, read_ckpt_weights  # noqa: E402


@pytest.fixture(scope="module")
def official(net: SynergyNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return torch_save(tmp_path_factory.mktemp("official") / "epoch_80.pth.tar", net)


@pytest.fixture(scope="module")
def ckpt(official: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ckpt") / "net.ckpt"
    convert(official, path)
    return path


def content(path: Path) -> tuple[dict[str, bytes], dict[str, str]]:
    with safetensors.safe_open(path, framework="np") as opened:
        return {k: opened.get_tensor(k).tobytes() for k in opened.keys()}, opened.metadata()  # noqa: SIM118


def with_metadata(ckpt: Path, target: Path, **changes: object) -> Path:
    """A copy whose metadata say something else."""
    entries = read_ckpt(ckpt)
    metadata = json.loads(entries[METADATA].tobytes()) | changes
    entries[METADATA] = np.frombuffer(json.dumps(metadata).encode(), np.uint8)
    write_ckpt(target, entries)
    return target


def test_official_there_and_back_is_byte_identical(
    official: Path, ckpt: Path, tmp_path: Path
) -> None:
    convert(ckpt, tmp_path / "other_name.pth.tar")
    assert (tmp_path / "other_name.pth.tar").read_bytes() == official.read_bytes()


def test_names_and_shapes_in_a_ckpt(ckpt: Path, official: Path) -> None:
    entries = read_ckpt(ckpt)
    theirs = read_official(official).tensors
    pairs = {
        "I2P.feature_extractor.features.0.features.0.weight": "I2P.backbone.features.0.0.weight",
        "I2P.feature_extractor.features.1.conv.0.features.1.gamma": (
            "I2P.backbone.features.1.conv.0.1.weight"
        ),
        "I2P.feature_extractor.features.1.conv.2.beta": "I2P.backbone.features.1.conv.2.bias",
        "I2P.feature_extractor.features.17.conv.3.moving_variance": (
            "I2P.backbone.features.17.conv.3.running_var"
        ),
        "I2P.feature_extractor.features.18.features.1.moving_mean": (
            "I2P.backbone.features.18.1.running_mean"
        ),
        "I2P.classifier_exp.1.bias": "I2P.backbone.classifier_exp.1.bias",
        "forwardDirection.bn9.gamma": "forwardDirection.bn9.weight",
        "reverseDirection.conv6_2.bias": "reverseDirection.conv6_2.bias",
    }
    for name, ours in pairs.items():
        np.testing.assert_array_equal(entries[name], theirs[ours], err_msg=name)
    kernel = entries["forwardDirection.conv6.weight"]
    np.testing.assert_array_equal(kernel[..., 0], theirs["forwardDirection.conv6.weight"])
    assert not any("num_batches" in name for name in entries)


def test_safetensors_there_and_back(net: SynergyNet, tmp_path: Path) -> None:
    info = describe(net, training_data="x", frame="protocol", border=5, extra={"note": "é"})
    info = replace(info, detector_calibration={"yunet": ((1.0, 0.1), (0.0, 2.0), (3.0, 1e-7))})
    save_checkpoint(tmp_path / "a.safetensors", net, info)
    convert(tmp_path / "a.safetensors", tmp_path / "b.ckpt")
    convert(tmp_path / "b.ckpt", tmp_path / "c.safetensors")
    assert content(tmp_path / "c.safetensors") == content(tmp_path / "a.safetensors")
    read, found = load_checkpoint(tmp_path / "c.safetensors", net.face_model)
    assert found.to_metadata() == info.to_metadata()
    assert found.detector_calibration == info.detector_calibration
    counter = "I2P.backbone.features.0.1.num_batches_tracked"
    assert read.state_dict()[counter] == 7


@pytest.mark.slow
def test_onnx_answers_as_the_official_network(official: Path, tmp_path: Path) -> None:
    import onnxruntime

    pytest.importorskip("onnxscript")
    convert(official, tmp_path / "net.onnx")
    crops = np.random.default_rng(0).uniform(-1, 1, (2, 3, 120, 120)).astype(np.float32)
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    found = session.run(None, {session.get_inputs()[0].name: crops})[0]
    with torch.inference_mode():
        wanted = trained_backbone(read_official(official))(torch.from_numpy(crops))[0].numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-4 * max(1, np.abs(wanted).max()))


@pytest.mark.slow
def test_neither_framework_is_imported(ckpt: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from synergynet.cli.main import app; app(sys.argv[1:], standalone_mode=False);"
        "assert not {'torch', 'mindspore'} & set(sys.modules)"
    )
    words = [sys.executable, "-c", code, "convert", str(ckpt), str(tmp_path / "x.safetensors")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_errors_are_one_sentence_and_leave_nothing(ckpt: Path, tmp_path: Path) -> None:
    one_error(run("convert", ckpt, tmp_path / "x.mindir"), "MindSpore")
    (tmp_path / "half.ckpt").write_bytes(ckpt.read_bytes()[:5000])
    for source, target, named in (
        (tmp_path / "half.ckpt", "x.safetensors", "half.ckpt"),
        (tmp_path / "none.ckpt", "x.safetensors", "no such file"),
        (ckpt, "x.xyz", "unknown kind"),
        (ckpt, "none/x.safetensors", "does not exist"),
        (ckpt, str(ckpt), "give the result another name"),
    ):
        with pytest.raises(SynergyNetError, match=named):
            convert(source, tmp_path / target)
    assert [path.name for path in tmp_path.iterdir()] == ["half.ckpt"]


@pytest.mark.parametrize(
    "name", ["../../evil", "/tmp/evil", "..", "", "a\0b", "a\\b", "x" * 300, 5]
)
def test_an_archive_name_is_no_path(ckpt: Path, tmp_path: Path, name: object) -> None:
    hostile = with_metadata(ckpt, tmp_path / "hostile.ckpt", archive_name=name)
    with pytest.raises(SynergyNetError, match=r"hostile\.ckpt"):
        read_ckpt_weights(hostile)


def test_an_architecture_that_does_not_exist_there(ckpt: Path, tmp_path: Path) -> None:
    info = json.loads(read_ckpt(ckpt)[METADATA].tobytes())["info"]
    changed = {key: value.replace("mobilenet_v2", "resnet50") for key, value in info.items()}
    other = with_metadata(ckpt, tmp_path / "other.ckpt", info=changed)
    with pytest.raises(SynergyNetError, match=r"other\.ckpt.*resnet50"):
        read_ckpt_weights(other)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=60), at=st.integers(0, 200), byte=st.integers(0, 255))
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, at: int, byte: int
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    path = folder / "a.ckpt"
    write_ckpt(path, {"a.weight": np.arange(6.0).reshape(2, 3), "b": np.array([True])})
    whole = bytearray(path.read_bytes())
    whole[at % len(whole)] = byte
    for content in (data, bytes(whole)):
        path.write_bytes(content)
        try:
            found = read_ckpt(path)
        except SynergyNetError as error:
            assert "a.ckpt" in str(error)
        else:
            assert sum(array.nbytes for array in found.values()) <= len(content)


def test_every_function_of_the_registries_exists() -> None:
    """By their source: some need a framework that is not here."""
    root = Path(formats.__file__).parents[1]
    named = [getattr(kind, use) for kind in formats.FORMATS for use in ("read", "write", "run")]
    named += [f"export.{kind.writer}" for kind in export_formats.FORMATS.values()]
    for name in filter(None, named):
        module, function = name.split(":")
        source = ast.parse((root / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
        assert function in {getattr(node, "name", "") for node in source.body}, name
