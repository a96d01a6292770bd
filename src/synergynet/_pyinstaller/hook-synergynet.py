"""What PyInstaller does not see: modules imported by name, networks and face model, the version.

Large frameworks stay out unless the program itself imports them.
"""

from PyInstaller.utils.hooks import collect_data_files, collect_submodules, copy_metadata

hiddenimports = collect_submodules("synergynet", filter=lambda name: "_pyinstaller" not in name)
datas = collect_data_files("synergynet") + copy_metadata("synergynet")
excludedimports = ["torch", "mindspore", "ray", "tensorboard", "executorch"]
