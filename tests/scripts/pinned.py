"""A virtual environment with pinned packages, made on first use and entered by replacing this process.

Knows nothing of s3trail. Scripts call `enter` before they import anything that is not in the standard
library.
"""

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path


def enter(home: Path, requirements: Path) -> None:
    """Go on inside the environment `home`, which holds exactly the pins of `requirements`.

    Makes the environment when it is missing, rebuilds it when the pins changed, and then starts the running script
    again with the environment's interpreter (so call it first). Returns when this is that second start.
    """
    home = home.resolve()
    if Path(sys.prefix).resolve() == home:
        return
    pins = hashlib.sha256(requirements.read_bytes()).hexdigest()
    stamp = home / "pins.sha256"
    python = home / "bin" / "python"
    if not stamp.is_file() or stamp.read_text() != pins:
        print(f"installing {requirements.name} into {home}", file=sys.stderr)
        venv.create(home, clear=True, with_pip=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--requirement", requirements], check=True, stdout=sys.stderr)
        # Written last: an interrupted installation is started again, not trusted.
        stamp.write_text(pins)
    os.execv(python, [str(python), *sys.argv])
