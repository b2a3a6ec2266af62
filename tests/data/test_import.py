"""``import minidann.data`` is light: what takes long to import is imported where it is used."""

import subprocess
import sys

HEAVY = {"PIL", "matplotlib", "scipy", "sklearn"}
PROGRAM = """
import sys
import minidann
before = set(sys.modules)
import minidann.data
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
"""


def test_no_heavy_package_comes_with_it():
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "minidann" in result.stdout and not HEAVY & set(result.stdout.split())
