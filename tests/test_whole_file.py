"""Outputs: whole or not at all, and into whatever the name stands for."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from synergynet.errors import SynergyNetError
from synergynet.files.whole_file import CannotWriteError, whole_file, write_whole

pytestmark = pytest.mark.skipif(os.name == "nt", reason="devices, pipes and links of POSIX")


def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    real, link = tmp_path / "2026.csv", tmp_path / "latest.csv"
    real.write_text("old")
    link.symlink_to("2026.csv")
    write_whole(link, b"new")
    assert link.is_symlink()
    assert real.read_text() == "new"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["2026.csv", "latest.csv"]


def test_a_link_to_nothing_makes_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there/new.csv")
    write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "there/new.csv").read_bytes() == b"new"
    assert (tmp_path / "link").is_symlink()


def test_links_in_a_circle_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(CannotWriteError, match="links"):
        write_whole(tmp_path / "a", b"x")


def test_permissions_of_a_replaced_file_stay(tmp_path: Path) -> None:
    file = tmp_path / "private.csv"
    file.write_text("old")
    file.chmod(0o600)
    write_whole(file, b"new")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_devices_stay_devices() -> None:
    write_whole(Path("/dev/null"), b"gone")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    with pytest.raises(CannotWriteError, match="/dev/full: cannot be written"):
        write_whole(Path("/dev/full"), b"too much")


def test_a_named_pipe_is_written_through(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE) as reader:
        write_whole(pipe, b"through")
        assert reader.communicate(timeout=10)[0] == b"through"
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert [p.name for p in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.parametrize("redirected", [False, True])
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_standard_output_goes_on_where_it_was(tmp_path: Path, name: str, redirected: bool) -> None:
    code = (
        "from pathlib import Path; from synergynet.files.whole_file import write_whole\n"
        f"print('before', flush=True); write_whole(Path({name!r}), b'content\\n'); print('after')"
    )
    file = tmp_path / "out.txt"
    with file.open("wb") as stream:
        done = subprocess.run(
            [sys.executable, "-c", code],
            stdout=stream if redirected else subprocess.PIPE,
            check=True,
        )
    text = file.read_bytes() if redirected else done.stdout
    assert text == b"before\ncontent\nafter\n"


def test_a_file_mounted_by_itself_is_written_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder takes no rename over it: EBUSY, as for ``docker run -v out.csv:/out.csv``."""

    def busy(self: Path, target: Path) -> Path:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    file = tmp_path / "out.csv"
    file.write_text("a longer one than the new")
    number = file.stat().st_ino
    monkeypatch.setattr(Path, "replace", busy)
    write_whole(file, b"new")
    assert file.read_bytes() == b"new"
    assert file.stat().st_ino == number


def test_a_folder_is_no_target(tmp_path: Path) -> None:
    with pytest.raises(SynergyNetError, match="a folder"):
        write_whole(tmp_path, b"x")
    assert list(tmp_path.iterdir()) == []


def test_what_fails_leaves_the_old_content(tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    file.write_text("old")
    with pytest.raises(ZeroDivisionError), whole_file(file) as partial:
        partial.write_text("half")
        raise ZeroDivisionError
    assert file.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]
