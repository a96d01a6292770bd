"""Faults at every point where a command touches the disk.

``python -m faults SCENARIO FOLDER ACTION [MOST]`` runs a scenario once undisturbed, counting the
moments at which it opens for writing, renames, removes or makes something (audit events of
Python). Then it runs it again for each moment, in a copy of its own of the process and of the
folder, and lets it happen there:

=========  ==============================================================================
kill       the process ends at once, as by ``kill -9``
full       from then on the disk is full: nothing can be made, opened for writing or renamed
interrupt  Ctrl-C
=========  ==============================================================================

After each, whatever lies under a final name must be whole, and the same command must make the rest.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from synergynet.errors import SynergyNetError
from synergynet.files import partial

OUT = "out"
_MAKING = ("os.mkdir", "os.rename")
_MOMENTS = (*_MAKING, "os.remove", "os.rmdir")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_RAISED, _WRONG = 70, 71

Run = Callable[[], object]


@dataclass(frozen=True)
class Scenario:
    """A command.

    Attributes:
        make: writes what it needs into the working folder, once.
        run: runs it there, into the folder ``out``; again, it goes on.
        growing: files of ``out`` that grow while it runs, or are there only meanwhile.
        earlier: files of ``out`` that are written again and again: whole is what can be read.
        warm: run it once before the process is copied, so that every copy has its imports.
    """

    make: Run
    run: Run
    growing: tuple[str, ...] = ()
    earlier: tuple[str, ...] = ()
    warm: bool = True


def touch_disk_with(scenario: Scenario, folder: Path, action: str, most: int) -> dict[str, object]:
    """Let ``action`` happen at up to ``most`` moments, evenly spread; what went wrong, in words."""
    whole = folder / "work"  # always of the same name: some results hold it
    whole.mkdir(parents=True)
    os.chdir(whole)
    scenario.make()
    template = folder / "template"
    shutil.copytree(whole, template)
    if scenario.warm:
        shutil.copytree(whole, folder / "warm")
        os.chdir(folder / "warm")
        scenario.run()
        os.chdir(whole)
    events = _in_child(scenario.run, None, 0, folder)
    assert events["end"] == 0, events
    reference = _files(whole, scenario)
    assert reference, "it wrote nothing"
    count = int(str(events["moments"]))
    most = min(most, count)
    chosen = sorted({round(i * (count - 1) / max(1, most - 1)) for i in range(most)})
    wrong: list[str] = []
    for moment in chosen:
        work = whole
        os.chdir(folder)
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(template, work)
        os.chdir(work)
        wrong += [
            f"at {moment} of {count}: {text}" for text in _try(scenario, action, moment, reference)
        ]
    os.chdir(folder)
    return {"moments": count, "tried": len(chosen), "wrong": wrong}


def _try(scenario: Scenario, action: str, moment: int, reference: dict[str, bytes]) -> list[str]:
    here = Path.cwd()
    first = _in_child(scenario.run, action, moment, here.parent)
    wanted = {"kill": (137,), "full": (0, 1), "interrupt": (0, 130)}[action]
    wrong = []
    if first["end"] not in wanted:
        wrong.append(f"ended with {first['end']}: {first['text']}")
    if first["end"] == 0 and _files(here, scenario) != reference:
        wrong.append("said that all went well, but files differ")
    for name, data in _files(here, scenario).items():
        if data != reference.get(name) and Path(name).name not in scenario.earlier:
            wrong.append(f"{name} is not whole ({len(data)} bytes)")
    if action == "full" and list(here.rglob(f"{partial.PREFIX}*")):
        wrong.append("litter is left")
    second = _in_child(scenario.run, None, 0, here.parent)
    if second["end"] != 0:
        wrong.append(f"did not go on: {second['text']}")
    elif (made := _files(here, scenario)) != reference:
        differ = [name for name in {*made, *reference} if made.get(name) != reference.get(name)]
        wrong.append(f"gone on, but {sorted(differ)[:5]} differ")
    if list(here.rglob(f"{partial.PREFIX}*")):
        wrong.append("litter of the dead writer is left")
    return wrong


def _files(folder: Path, scenario: Scenario) -> dict[str, bytes]:
    """Everything under a final name."""
    return {
        str(path.relative_to(folder)): _content(path)
        for path in sorted((folder / OUT).rglob("*"))
        if path.is_file()
        and not any(part.startswith(partial.PREFIX) for part in path.parts)
        and path.name not in scenario.growing
    }


def _content(path: Path) -> bytes:
    """Bytes; of safetensors, whose metadata are in any order, what they say; raises for half."""
    data = path.read_bytes()
    if path.suffix != ".safetensors":
        return data
    size = int.from_bytes(data[:8], "little")
    head = json.loads(data[8 : 8 + size])
    assert len(data) == 8 + size + max(v["data_offsets"][1] for k, v in head.items() if k[0] != "_")
    return json.dumps(head, sort_keys=True).encode() + data[8 + size :]


def _in_child(run: Run, action: str | None, moment: int, place: Path) -> dict[str, object]:
    report = place / "report.json"
    report.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        _child(run, action, moment, report)
    status = os.waitpid(child, 0)[1]
    code = os.waitstatus_to_exitcode(status)
    told = json.loads(report.read_text()) if report.exists() else {}
    return {"end": code, "moments": told.get("moments", 0), "text": told.get("text", "")}


def _child(run: Run, action: str | None, moment: int, report: Path) -> None:
    here, seen, full = os.getcwd() + os.sep, 0, False  # noqa: PTH109
    on = True

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen, full
        if not on or not (event in _MOMENTS or event == "open"):
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & _WRITING):
            return
        path = arguments[0]
        if not isinstance(path, str | bytes | os.PathLike):
            return
        if not os.path.abspath(os.fsdecode(path)).startswith(here):  # noqa: PTH100
            return
        making = event in _MAKING or event == "open"
        if full and making:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fsdecode(path))
        seen += 1
        if action is None or seen - 1 != moment:
            return
        if action == "kill":
            os._exit(137)
        if action == "interrupt":
            raise KeyboardInterrupt
        full = True
        if making:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fsdecode(path))

    end, text = 0, ""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    sys.addaudithook(hook)
    try:
        run()
    except SynergyNetError as error:
        end, text = 1, str(error)
    except KeyboardInterrupt:
        end = 130
    except SystemExit as error:
        end = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    except BaseException:
        end, text = _RAISED, traceback.format_exc()[-1200:]
    on = False
    report.write_text(json.dumps({"moments": seen, "text": text}))
    os._exit(end)


def main() -> None:
    import cv2
    from fault_scenarios import SCENARIOS

    cv2.setNumThreads(1)  # the threads of a process are not copied with it
    name, folder, action, *most = sys.argv[1:]
    report = touch_disk_with(
        SCENARIOS[name], Path(folder).resolve(), action, int(most[0]) if most else 10**9
    )
    print(json.dumps(report))


if __name__ == "__main__":
    main()
