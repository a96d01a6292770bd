"""Photos of every format, from a colour-coded picture: orientation and channels can be checked."""

from __future__ import annotations

import importlib.util
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, features

from synergynet.errors import SynergyNetError
from synergynet.files import images
from synergynet.pipeline import read_image

WIDTH, HEIGHT = 48, 32
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
UPRIGHT = [RED, GREEN, BLUE, WHITE]
# The corners as seen after turning: EXIF orientation -> top left, top right, bottom left, right.
TURNED = {
    2: [GREEN, RED, WHITE, BLUE],
    3: [WHITE, BLUE, GREEN, RED],
    6: [BLUE, RED, WHITE, GREEN],
    8: [GREEN, WHITE, RED, BLUE],
}
OPENCV = tuple(int(part) for part in cv2.__version__.split(".")[:2])
needs_avif = pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")
needs_heif = pytest.mark.skipif(
    importlib.util.find_spec("pillow_heif") is None, reason="the extra 'heic' is not installed"
)


def quarters() -> np.ndarray:
    """(32, 48, 3) uint8 RGB: red, green over blue, white."""
    rgb = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    for (y, x), colour in zip(((0, 0), (0, 1), (1, 0), (1, 1)), UPRIGHT, strict=True):
        rgb[16 * y : 16 * y + 16, 24 * x : 24 * x + 24] = colour
    return rgb


def encoded(form: str, mode: str = "RGB", **options: object) -> bytes:
    """The picture as a file of ``form``; ``orientation`` is written as EXIF."""
    photo = Image.fromarray(quarters())
    photo = photo.quantize(8) if mode == "P" else photo.convert(mode)
    if "orientation" in options:
        exif = Image.Exif()
        exif[0x0112] = options.pop("orientation")
        options["exif"] = exif
    if form == "HEIF":
        importlib.import_module("pillow_heif").register_heif_opener()
    stream = io.BytesIO()
    photo.save(stream, form, **options)
    return stream.getvalue()


def check(
    path: Path, data: bytes, expected: list[tuple[int, int, int]], tolerance: int = 0
) -> None:
    path.write_bytes(data)
    read = read_image(path)
    assert read.dtype == np.uint8 and read.flags.c_contiguous
    height, width = read.shape[:2]
    sideways = expected in (TURNED[6], TURNED[8])
    assert (width, height) == ((HEIGHT, WIDTH) if sideways else (WIDTH, HEIGHT))
    places = [(height // 4, width // 4), (height // 4, 3 * width // 4)]
    places += [(3 * height // 4, width // 4), (3 * height // 4, 3 * width // 4)]
    for (y, x), colour in zip(places, expected, strict=True):
        np.testing.assert_allclose(read[y, x][::-1].astype(int), colour, atol=tolerance)


FORMATS: dict[str, Callable[[], bytes]] = {
    "png": lambda: encoded("PNG"),
    "png palette": lambda: encoded("PNG", "P"),
    "png palette transparent": lambda: encoded("PNG", "P", transparency=0),
    "png alpha": lambda: encoded("PNG", "RGBA"),
    "bmp": lambda: encoded("BMP"),
    "bmp palette": lambda: encoded("BMP", "P"),
    "bmp alpha": lambda: encoded("BMP", "RGBA"),
    "tiff": lambda: encoded("TIFF"),
    "tiff palette": lambda: encoded("TIFF", "P"),
    "tiff alpha": lambda: encoded("TIFF", "RGBA"),
    "tiff lzw": lambda: encoded("TIFF", compression="tiff_lzw"),
    "tiff cmyk": lambda: encoded("TIFF", "CMYK"),
    "webp": lambda: encoded("WEBP", lossless=True),
    "webp alpha": lambda: encoded("WEBP", "RGBA", lossless=True),
    "jpeg": lambda: encoded("JPEG", quality=95),
    "jpeg progressive": lambda: encoded("JPEG", quality=95, progressive=True),
    "jpeg cmyk": lambda: encoded("JPEG", "CMYK", quality=95),
    "png 16 bits": lambda: _opencv(".png", quarters().astype(np.uint16) * 257),
    "tiff 16 bits": lambda: _opencv(".tiff", quarters().astype(np.uint16) * 257),
    "gif": lambda: encoded("GIF"),
    "gif animated": lambda: encoded("GIF", save_all=True, append_images=[_black()]),
    "tiff pages": lambda: encoded("TIFF", save_all=True, append_images=[_black()]),
    "png animated": lambda: encoded("PNG", save_all=True, append_images=[_black()]),
}


def _opencv(suffix: str, rgb: np.ndarray) -> bytes:
    return cv2.imencode(suffix, rgb[..., ::-1])[1].tobytes()


def _black() -> object:
    return Image.new("RGB", (WIDTH, HEIGHT))


@pytest.mark.parametrize("name", FORMATS)
def test_formats(tmp_path, name) -> None:
    # The ending lies: what counts is the content.
    check(tmp_path / "photo.jpg", FORMATS[name](), UPRIGHT, tolerance=3)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_grey_becomes_three_equal_channels(tmp_path, form) -> None:
    luma = [(76,) * 3, (150,) * 3, (29,) * 3, WHITE]
    options = {"quality": 95} if form in ("JPEG", "WEBP") else {}
    check(tmp_path / "grey", encoded(form, "L", **options), luma, tolerance=3)
    deep = (np.asarray(Image.fromarray(quarters()).convert("L")).astype(np.uint16)) * 257
    check(tmp_path / "deep", cv2.imencode(".png", deep)[1].tobytes(), luma, tolerance=1)
    check(tmp_path / "alpha", encoded("PNG", "LA"), luma)


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize(
    "form",
    [
        "JPEG",
        "PNG",
        "TIFF",
        pytest.param(
            "WEBP", marks=pytest.mark.skipif(OPENCV < (4, 11), reason="OpenCV too old for it")
        ),
        pytest.param("AVIF", marks=needs_avif),
    ],
)
def test_the_exif_orientation_is_applied(tmp_path, form, orientation) -> None:
    options = {} if form in ("PNG", "TIFF") else {"quality": 95}
    data = encoded(form, orientation=orientation, **options)
    check(tmp_path / "photo", data, TURNED[orientation], tolerance=8)


@needs_heif
def test_heic_is_read(tmp_path) -> None:
    data = encoded("HEIF", quality=95)
    check(tmp_path / "a.heic", data, UPRIGHT, tolerance=8)
    assert images._open(tmp_path, data)[0] == "HEIF"


@needs_avif
def test_avif_is_read(tmp_path) -> None:
    data = encoded("AVIF", quality=95)
    check(tmp_path / "a.avif", data, UPRIGHT, tolerance=8)
    kind, photo = images._open(tmp_path, data)
    assert kind == "AVIF" and not images._is_turned(photo)
    assert images._is_turned(images._open(tmp_path, encoded("AVIF", orientation=6))[1])


def test_a_missing_package_is_one_sentence(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(images.importlib.util, "find_spec", lambda name: None)
    path = tmp_path / "phone.jpg"
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 50)
    with pytest.raises(SynergyNetError, match=r"phone.jpg: .*HEIC.*synergynet\[heic\]"):
        read_image(path)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF", "HEIF"])
def test_a_file_cut_off_anywhere_is_one_sentence(tmp_path, form) -> None:
    if form == "AVIF" and not features.check("avif"):
        pytest.skip("Pillow without AVIF")
    if form == "HEIF" and importlib.util.find_spec("pillow_heif") is None:
        pytest.skip("the extra 'heic' is not installed")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    if form == "HEIF":
        importlib.import_module("pillow_heif").register_heif_opener()
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, form)
    data = stream.getvalue()
    for part in (0.01, 0.3, 0.6, 0.9):
        path = tmp_path / "cut.img"
        path.write_bytes(data[: int(len(data) * part)])
        with pytest.raises(
            SynergyNetError, match=r"cut.img: (a damaged|a TIFF that is damaged|not a readable)"
        ):
            read_image(path)


@pytest.mark.parametrize("name", FORMATS)
def test_bombs_are_refused_before_they_are_decoded(tmp_path, monkeypatch, name) -> None:
    def decode(*_) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(images, "_decode", decode)
    monkeypatch.setattr(images, "_load", decode)
    monkeypatch.setattr(images, "max_pixels", lambda: WIDTH * HEIGHT - 1)
    (tmp_path / "big").write_bytes(FORMATS[name]())
    with pytest.raises(SynergyNetError, match="48 x 32 pixels; photos may have"):
        read_image(tmp_path / "big")


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_cut_off_in_its_header_is_one_sentence(tmp_path, name) -> None:
    data = FORMATS[name]()
    for end in range(1, min(len(data), 600) // 2, 7):
        (tmp_path / "cut").write_bytes(data[:end])
        with pytest.raises(
            SynergyNetError, match=r"cut: (a damaged|a TIFF that is damaged|not a readable)"
        ):
            read_image(tmp_path / "cut")


def test_bmp_sizes_may_be_negative(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(images, "max_pixels", lambda: 30 * 20 - 1)
    header = struct.pack("<IIIIiiHHIIiiII", 0, 0, 54, 40, 30, -20, 1, 24, 0, 0, 0, 0, 0, 0)
    (tmp_path / "top_down").write_bytes(b"BM" + header + b"\0" * 1840)
    with pytest.raises(SynergyNetError, match="30 x 20 pixels; photos may have"):
        read_image(tmp_path / "top_down")


def _chunk(name: bytes, body: bytes, length: int | None = None) -> bytes:
    declared = struct.pack(">I", len(body) if length is None else length)
    return declared + name + body + struct.pack(">I", zlib.crc32(name + body))


def _png(*chunks: bytes) -> bytes:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + _chunk(b"IEND", b"")


def _rows(rgb: np.ndarray) -> bytes:
    return zlib.compress(b"".join(b"\0" + row.tobytes() for row in rgb))


def test_a_chunk_that_promises_gigabytes_is_refused_at_once(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(images, "_decode", None)  # OpenCV would take what was promised
    (tmp_path / "a.png").write_bytes(_png(_chunk(b"IDAT", _rows(quarters()), 0xFFFFFF00)))
    with pytest.raises(SynergyNetError, match="a damaged or incomplete PNG"):
        read_image(tmp_path / "a.png")


def test_only_the_still_picture_of_an_animated_png_reaches_opencv(tmp_path) -> None:
    """Frames after the first that are longer than declared are where OpenCV 5.0 crashes."""
    place = struct.pack(">IIIIHHBB", WIDTH, HEIGHT, 0, 0, 1, 10, 0, 0)
    plain = _png(_chunk(b"IDAT", _rows(quarters())))
    moving = _png(
        _chunk(b"acTL", struct.pack(">II", 1, 0)), _chunk(b"IDAT", _rows(quarters())),
        _chunk(b"fcTL", struct.pack(">I", 0) + place),
        _chunk(b"fdAT", struct.pack(">I", 1) + _rows(np.tile(quarters(), (5, 1, 1)))),
    )  # fmt: skip
    assert images._still_png(moving) == plain == images._still_png(plain)
    check(tmp_path / "a.png", moving, UPRIGHT)


def test_a_png_with_a_large_colour_profile_is_read(tmp_path) -> None:
    profile = b"p\0\0" + zlib.compress(bytes(3 << 20))
    data = _png(_chunk(b"iCCP", profile), _chunk(b"IDAT", _rows(quarters())))
    check(tmp_path / "a.png", data, UPRIGHT)


def float_tiff(image: np.ndarray) -> bytes:
    """Uncompressed: OpenCV 4 writes float32 as LogLuv else."""
    return cv2.imencode(".tiff", image, [cv2.IMWRITE_TIFF_COMPRESSION, 1])[1].tobytes()


RAMP = np.linspace(0, 1, 16 * 12 * 3).reshape(12, 16, 3)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_few_bits_in_sixteen_are_no_black_picture(tmp_path, suffix: str, bits: int) -> None:
    deep = np.rint(RAMP * (2**bits - 1)).astype(np.uint16)
    (tmp_path / "a").write_bytes(cv2.imencode(suffix, deep)[1].tobytes())
    np.testing.assert_array_equal(read_image(tmp_path / "a"), deep >> (bits - 8))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("white", [1, 255, 65535])
def test_floating_point_pictures_are_read_by_their_range(tmp_path, dtype, white: int) -> None:
    image = ((RAMP - 0.1) / 0.9 * white).astype(dtype)
    (tmp_path / "a").write_bytes(float_tiff(image))
    expected = np.clip(np.rint((RAMP - 0.1) / 0.9 * 255), 0, 255)
    np.testing.assert_allclose(read_image(tmp_path / "a").astype(int), expected, atol=1)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e9])
def test_floating_point_values_that_are_no_picture_are_one_sentence(tmp_path, value) -> None:
    image = RAMP.astype(np.float32)
    image[3, 4, 1] = value
    (tmp_path / "a").write_bytes(float_tiff(image))
    with pytest.raises(SynergyNetError, match=r"a: a TIFF .*\(32-bit float, "):
        read_image(tmp_path / "a")


def test_deep_pictures_may_have_fewer_pixels(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SYNERGYNET_MAX_MEGAPIXELS", str(RAMP.shape[0] * RAMP.shape[1] / 1e6))
    for dtype, fits in ((np.uint16, True), (np.float32, False), (np.float64, False)):
        (tmp_path / "a").write_bytes(float_tiff(RAMP.astype(dtype)))
        if fits:
            read_image(tmp_path / "a")
        else:
            with pytest.raises(SynergyNetError, match=r"16 x 12 pixels of (32|64) bits"):
                read_image(tmp_path / "a")


def test_a_jpeg_of_a_rare_kind_is_not_called_damaged(tmp_path) -> None:
    data = bytearray(encoded("JPEG"))
    at = data.find(b"\xff\xc0")
    for frame, precision, name in ((0xC3, 8, "lossless"), (0xC1, 12, "12-bit")):
        data[at + 1], data[at + 4] = frame, precision
        (tmp_path / "a").write_bytes(data)
        with pytest.raises(SynergyNetError, match=rf"cannot be read \({name}\)"):
            read_image(tmp_path / "a")


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"%PDF-1.7\n", "a PDF; convert it"),
        (b"\n <!DOCTYPE html><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer; .*git lfs pull"),
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2", "a video; give it to synergynet video"),
        (b"RIFF\0\0\0\0AVI LIST", "a video; give it to synergynet video"),
        (b"PK\x03\x04\x14\0", "a zip archive; unpack it"),
        (b"<?xml version='1.0'?><svg>", "an SVG drawing"),
        (b"just words", r"not a readable image \(JPEG"),
    ],
)
def test_what_is_no_photo_is_named(tmp_path, data: bytes, found: str) -> None:
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(SynergyNetError, match=f"a.jpg: {found}"):
        read_image(tmp_path / "a.jpg")


def test_the_thumbnail_of_a_raw_photo_is_not_taken_for_it(tmp_path) -> None:
    tags = Image.new("RGB", (WIDTH, HEIGHT)).getexif()
    tags[254] = 1  # NewSubfileType: a reduced picture
    stream = io.BytesIO()
    Image.fromarray(quarters()).save(stream, "TIFF", tiffinfo=tags)
    (tmp_path / "a.nef").write_bytes(stream.getvalue())
    with pytest.raises(SynergyNetError, match=r"a\.nef: a raw photo; convert it"):
        read_image(tmp_path / "a.nef")
