"""python synergynet_aflw2000_eval.py --root ./aflw2000_data"""

import sys

if __name__ == "__main__":
    try:
        from synergynet.cli.toolkit import run_aflw2000
    except ModuleNotFoundError as error:
        sys.exit(f"error: {error.name} is not installed; run: pip install .")
    run_aflw2000()
