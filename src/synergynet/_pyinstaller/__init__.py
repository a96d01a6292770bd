"""How PyInstaller freezes a program that uses the package: found by its entry point."""

from pathlib import Path


def get_hook_dirs() -> list[str]:
    """Folders of hooks: this one."""
    return [str(Path(__file__).parent)]
