"""What a file is that is no photo, by its first bytes: people are told what they have."""

_CONVERT = "convert it to JPEG or PNG"

_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", f"a PDF; {_CONVERT}"),
    (b"8BPS", f"a Photoshop file; {_CONVERT}"),
    (b"\x00\x00\x01\x00", f"an icon; {_CONVERT}"),
    (b"\xff\x0a", f"a JPEG XL; {_CONVERT}"),
    (b"\x00\x00\x00\x0cJXL ", f"a JPEG XL; {_CONVERT}"),
    (b"\x76\x2f\x31\x01", f"an OpenEXR file; {_CONVERT}"),
    (b"#?RADIANCE", f"a Radiance HDR file; {_CONVERT}"),
    (b"#?RGBE", f"a Radiance HDR file; {_CONVERT}"),
    (b"FUJIFILMCCD-RAW", f"a raw photo; {_CONVERT}"),
    (b"version https://git-lfs", "a Git LFS pointer; fetch the photo with: git lfs pull"),
    (b"PK\x03\x04", "a zip archive; unpack it"),
    (b"\x1f\x8b", "a gzip archive; unpack it"),
    (b"Rar!", "a RAR archive; unpack it"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it"),
    (b"\x1aE\xdf\xa3", "a video; give it to synergynet video"),
    (b"\x00\x00\x01\xba", "a video; give it to synergynet video"),
)

_VIDEO_BRANDS = (b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"qt  ", b"M4V ")
_RAW_BRANDS = (b"crx ",)
_PAGE = (b"<!doctype html", b"<html", b"<head")


def what_else(data: bytes) -> str | None:
    """What the file is and what to do about it, as ``a PDF; convert it to ...``; None if unknown.

    Args:
        data: the file, or its first kilobyte.
    """
    for start, sentence in _STARTS:
        if data.startswith(start):
            return sentence
    if data[4:8] == b"ftyp":
        if data[8:12] in _RAW_BRANDS:
            return f"a raw photo; {_CONVERT}"
        return "a video; give it to synergynet video" if data[8:12] in _VIDEO_BRANDS else None
    if data[:4] == b"RIFF" and data[8:12] == b"AVI ":
        return "a video; give it to synergynet video"
    text = data[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(_PAGE):
        return "a web page, perhaps in place of the photo; download the photo itself"
    if b"<svg" in text:
        return f"an SVG drawing; {_CONVERT}"
    return None
