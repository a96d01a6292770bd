"""The Python of the documentation and the example notebook run as they stand."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from helpers import ASTRONAUT, REPO

from synergynet.detection import DETECTORS
from synergynet.nets.backbones import BACKBONES
from synergynet.outputs.kinds import DRAWINGS, MESHES

NOTEBOOK = REPO / "examples" / "tour.ipynb"
MAX_NOTEBOOK = 300_000  # bytes
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    *sorted(path.relative_to(REPO).as_posix() for path in (REPO / "docs").glob("*.md")),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", ["README.md", "docs/python.md", "docs/outputs.md", "docs/confidence.md"]
)
def test_python_blocks_run_one_after_the_other(page, tmp_path, monkeypatch) -> None:
    for name in ("photo.jpg", "a.jpg", "b.jpg"):
        shutil.copy(ASTRONAUT, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    text = (REPO / page).read_text(encoding="utf-8")
    blocks = list(re.finditer(r"^```python\n(.*?)^```", text, flags=re.M | re.S))
    assert blocks
    scope: dict[str, object] = {}
    for block in blocks:
        # Line numbers of the page in a traceback.
        code = "\n" * (text.count("\n", 0, block.start()) + 1) + block[1]
        exec(compile(code, str(REPO / page), "exec"), scope)
    if page == "docs/python.md":
        made = {path.name for path in (tmp_path / "out").iterdir()}
        assert {"face.json", "face.glb", "face.obj", "face.mtl", "face_uv.png", "face.ply"} <= made


@pytest.mark.parametrize("page", PAGES)
def test_links_and_pictures_are_there(page) -> None:
    prose = re.sub(r"^```.*?^```", "", (REPO / page).read_text("utf-8"), flags=re.M | re.S)
    links = re.findall(r"\]\(([^)\s]+)\)", prose)
    local = [link for link in links if not link.startswith("http")]
    assert local
    for link in local:
        name, _, section = link.partition("#")
        target = (REPO / page).parent / name if name else REPO / page
        assert target.exists(), link
        assert not section or section in _sections(target), link


@pytest.mark.parametrize("page", PAGES)
def test_commands_that_do_not_run_say_why(page) -> None:
    text = (REPO / page).read_text("utf-8")
    for block in re.finditer(r"^```(\w*)\n", text, flags=re.M):
        above = text[: block.start()].rstrip("\n").rpartition("\n")[2]
        assert block[1] != "bash" or above.startswith("<!-- not run: "), above


def test_the_readme_stays_short() -> None:
    assert len((REPO / "README.md").read_text("utf-8").split()) < 900


def test_the_index_names_every_page() -> None:
    index = (REPO / "docs" / "README.md").read_text("utf-8")
    pages = {path.name for path in (REPO / "docs").glob("*.md")} - {"README.md"}
    assert pages <= set(re.findall(r"\]\(([\w-]+\.md)[)#]", index))


def test_the_pages_name_all_that_can_be_chosen() -> None:
    choices = {"outputs": [*DRAWINGS, *MESHES], "backbones": BACKBONES, "detection": DETECTORS}
    for page, names in choices.items():
        text = (REPO / "docs" / f"{page}.md").read_text("utf-8")
        assert [name for name in names if not re.search(rf"`{name}[` ]", text)] == [], page


@pytest.mark.slow
def test_the_notebook_runs_and_its_outputs_are_kept(tmp_path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="reads the notebook")
    nbclient = pytest.importorskip("nbclient", reason="runs the notebook")
    pytest.importorskip("ipykernel", reason="runs the notebook")
    assert NOTEBOOK.stat().st_size < MAX_NOTEBOOK
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    kept = [[output.output_type for output in _shown(cell)] for cell in notebook.cells]
    shutil.copy(ASTRONAUT, tmp_path)
    runner = nbclient.NotebookClient(
        notebook,
        timeout=600,
        startup_timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": tmp_path}},
    )
    runner.execute()
    made = [[output.output_type for output in _shown(cell)] for cell in notebook.cells]
    assert [sorted(set(types)) for types in made] == [sorted(set(types)) for types in kept]
    assert (tmp_path / "output" / "face.glb").read_bytes()[:4] == b"glTF"


def _sections(page: Path) -> set[str]:
    """Anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", name.lower()).replace(" ", "-") for name in headings}


def _shown(cell) -> list:
    """A cell's outputs but warnings."""
    return [o for o in cell.get("outputs", []) if o.get("name") != "stderr"]
