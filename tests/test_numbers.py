"""Numbers that can be trusted: gradients, precision, batches, threads, processes."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from helpers import ASTRONAUT
from small_models import make_tiny_model, random_params

from synergynet.pipeline import FaceAnalyzer, read_image
from synergynet.regression import load_regressor

# --- Gradients against finite differences, float64


def losses():
    torch = pytest.importorskip("torch")
    from synergynet.geometry.conventions import Conventions
    from synergynet.nets.torch.losses import synergy_losses
    from synergynet.nets.torch.synergynet import decode_points
    from synergynet.weights.official import face_buffers

    model = make_tiny_model()
    raw = torch.tensor(random_params(3, 1), dtype=torch.float64)
    basis = [
        torch.tensor(a, dtype=torch.float64) for a in face_buffers(model, dense=False).values()
    ]
    mean, identity, expression = basis

    def decode(params):
        return decode_points(params, mean, identity, expression)

    return torch, Conventions.exact(), synergy_losses, decode, raw


def test_gradients_of_the_decode_are_those_of_finite_differences() -> None:
    torch, _, _, decode, raw = losses()
    assert torch.autograd.gradcheck(decode, raw.requires_grad_(), eps=1e-6, atol=1e-5)


@pytest.mark.parametrize(
    "name",
    ["loss_LMK_f0", "loss_LMK_pointNet", "loss_Param_In", "loss_Param_S2", "loss_Param_S1S2",
     "loss_pose", "loss_shape", "loss_expression", "loss_landmarks", "loss_angles"],
)  # fmt: skip
def test_gradients_of_every_loss_are_those_of_finite_differences(name: str) -> None:
    torch, conventions, synergy_losses, decode, raw = losses()
    target = torch.tensor(random_params(3, 2), dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(3, 3, 68, generator=generator, dtype=torch.float64)

    def loss(params):
        points = decode(params)
        terms = synergy_losses(
            {name: 1.0},
            params=params,
            landmarks=points,
            target_params=target,
            target_landmarks=decode(target),
            refined=points + 0.1 * noise,
            regressed=0.5 * params,
            cameras=(params[:, :12], target[:, :12]),
            conventions=conventions,
        )
        return sum(terms.values())

    if name == "loss_angles":  # its weight near 90 degrees is a constant on purpose
        raw = torch.tensor(random_params(3, 5), dtype=torch.float64)
    assert torch.autograd.gradcheck(loss, raw.requires_grad_(), eps=1e-7, atol=1e-4, rtol=1e-3)


def test_float32_decodes_as_float64_to_a_ten_thousandth_of_a_pixel() -> None:
    model = make_tiny_model()
    raw = random_params(200, 3)
    exact = model.decode_landmarks(raw)
    single = model.decode_landmarks(raw.astype(np.float32))
    assert np.abs(exact - single).max() < 1e-4  # measured: 1.1e-5


def test_moved_scaled_and_mirrored_cameras_move_the_landmarks_as_they_must() -> None:
    from synergynet.geometry import params as layout
    from synergynet.geometry import pose

    model = make_tiny_model()
    raw = random_params(50, 4)
    points = model.decode_landmarks(raw)
    camera, shape, expression = layout.split(raw)
    affine = np.array([[1.3, 0, 7.5], [0, 1.3, -3.0]])
    moved = layout.join(pose.transform_camera(camera, affine), shape, expression)
    expected = points[..., :2] * 1.3 + affine[:, 2]
    np.testing.assert_allclose(model.decode_landmarks(moved)[..., :2], expected, atol=1e-9)
    signs = model.mirror_signs
    mirrored = layout.join(pose.mirror_camera(camera), shape * signs[:40], expression * signs[40:])
    from synergynet.geometry.landmarks import MIRROR

    flipped = points[:, MIRROR] * [-1, 1, 1] + [121, 0, 0]
    np.testing.assert_allclose(model.decode_landmarks(mirrored), flipped, atol=1e-3)


# --- The shipped networks


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    """Crops of a face, moved by some pixels each."""
    photo = read_image(ASTRONAUT)
    cuts = [photo[40 + 3 * i : 240 + 3 * i, 120 + 2 * i : 320 + 2 * i] for i in range(9)]
    return np.stack([cv2.resize(cut, (120, 120), interpolation=cv2.INTER_AREA) for cut in cuts])


def landmarks_of(raw: np.ndarray) -> np.ndarray:
    from synergynet.face_model.open_head import load_open_head

    return load_open_head().decode_landmarks(raw.astype(np.float64))


@pytest.mark.parametrize(
    ("name", "bound"), [("default", 1e-4), ("slim", 1e-4), ("default_int8", 1e-4)]
)
def test_batch_and_threads_change_nothing_that_counts(crops, name: str, bound: float) -> None:
    together = landmarks_of(load_regressor(name, threads=1).predict(crops))
    alone = load_regressor(name, threads=1)
    single = landmarks_of(np.concatenate([alone.predict(crop[None]) for crop in crops]))
    threads = landmarks_of(load_regressor(name, threads=2).predict(crops))
    again = landmarks_of(load_regressor(name, threads=1).predict(crops))
    assert np.array_equal(together, again)  # the same call, the same bits
    assert max(np.abs(together - single).max(), np.abs(together - threads).max()) < bound


# --- One analyser, many threads and processes


def answer(analyzer: FaceAnalyzer) -> np.ndarray:
    return analyzer(read_image(ASTRONAUT))[0].landmarks


def in_process(_: int) -> np.ndarray:
    return answer(FaceAnalyzer(threads=1))


def test_one_analyser_answers_many_threads_alike() -> None:
    analyzer = FaceAnalyzer(threads=1)
    alone = answer(analyzer)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: answer(analyzer), range(8)))
    for points in found:
        np.testing.assert_array_equal(points, alone)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_answer_alike(method: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip("not on this system")
    alone = answer(FaceAnalyzer(threads=1))
    with ProcessPoolExecutor(2, multiprocessing.get_context(method)) as pool:
        for points in pool.map(in_process, range(2)):
            np.testing.assert_allclose(points, alone, atol=1e-9)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are copied")
def test_after_a_fork_a_child_loads_its_own_and_answers_alike() -> None:
    alone = answer(FaceAnalyzer(threads=1))
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, answer(FaceAnalyzer(threads=1)).astype("<f8").tobytes())
        os._exit(0)
    os.close(writing)
    data = b""
    while part := os.read(reading, 1 << 16):
        data += part
    os.close(reading)
    assert os.waitpid(child, 0)[1] == 0
    np.testing.assert_allclose(np.frombuffer(data, "<f8").reshape(alone.shape), alone, atol=1e-9)
