"""Make a folder in which the farm's worker runs as a program for aarch64, under qemu's user-mode emulation.

    python tests/device_farm/arm64/make_root.py FOLDER

FOLDER gets the Python of Debian 12 for arm64 with its C libraries, the wheels of the base dependencies and of the
``worker`` extra, and the files that tell a Raspberry Pi 4. ``FOLDER/usr/bin/python-arm64`` is then a Python on a
Cortex-A72; it needs ``qemu-aarch64-static`` (Debian: qemu-user-static). Our own package comes by PYTHONPATH.

Nothing is installed on this machine and no privilege is needed. Packages come from the Debian mirror that apt
knows here, wheels from the index that pip knows; both programs check what they load.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from pi4 import lay_raspberry_pi_4

REPOSITORY = Path(__file__).resolve().parents[3]
SUITE, SUITE_GLIBC = "bookworm", 36  # Debian 12, as Raspberry Pi OS; its C library is glibc 2.36
DEBIAN_PACKAGES = ("python3.11-minimal", "libpython3.11-stdlib", "libstdc++6")
OLDEST_GLIBC = 17  # manylinux2014, the oldest one for aarch64
LAUNCHER = """\
#!/bin/sh
# This root's Python under emulation. The program is told this script's name as its own (-0): Python finds its
# library from there, and what it starts as sys.executable is emulated too. Without -0 the kernel would be asked
# to run a program for another processor.
root=${0%/usr/bin/*}
exec qemu-aarch64-static -cpu cortex-a72 -L "$root" -0 "$0" "$root/usr/bin/python3.11" "$@"
"""


def main() -> None:
    """Builds the folder beside its place and moves it there once it is complete."""
    parser = argparse.ArgumentParser(
        description="Make a root folder for the worker as a program for aarch64."
    )
    parser.add_argument("folder", type=Path, help="replaced if it exists")
    folder: Path = parser.parse_args().folder.absolute()
    unfinished = folder.with_name(folder.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unpack_debian(unfinished)
    install_wheels(unfinished / "usr/lib/python3/dist-packages")
    compile_library(unfinished / "usr/lib/python3.11")
    lay_raspberry_pi_4(unfinished)
    launcher = unfinished / "usr/bin/python-arm64"
    launcher.write_text(LAUNCHER)
    launcher.chmod(0o755)
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)


def unpack_debian(root: Path) -> None:
    """Loads the arm64 packages and what they depend on with an apt of its own state, and unpacks them."""
    root.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="depth-sweep-arm64-") as scratch:
        apt = private_apt(Path(scratch))
        run(*apt, "update", "--error-on=any")
        run(*apt, "install", "--download-only", "--yes", *DEBIAN_PACKAGES)
        for package in sorted(Path(scratch).glob("cache/archives/*.deb")):
            run("dpkg", "-x", str(package), str(root))


def private_apt(state: Path) -> list[str]:
    """An ``apt-get`` for arm64 that believes nothing to be installed and leaves this machine's own alone."""
    for folder in ("lists/partial", "cache/archives/partial"):
        (state / folder).mkdir(parents=True)
    (state / "status").touch()
    options = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",  # apt's own user could not write to the scratch folder
        "Debug::NoLocking": "true",
        "Dir::Cache": str(state / "cache"),
        "Dir::Etc::sourcelist": debian_sources(),
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": str(state / "lists"),
        "Dir::State::status": str(state / "status"),
    }
    return ["apt-get", "-qq", *(f"-o{key}={value}" for key, value in options.items())]


def debian_sources() -> str:
    """The file of this machine's apt configuration that names a mirror of Debian 12."""
    wanted = ("Created-By: Packages", f"Release: {SUITE}", "Component: main")
    found = run("apt-get", "indextargets", "--format", "$(SOURCESENTRY)", *wanted).split()
    if not found:
        raise SystemExit(f"error: apt's sources on this machine name no mirror of Debian's {SUITE} (main)")
    return found[0].rpartition(":")[0]  # FILE:NUMBER


def install_wheels(folder: Path) -> None:
    """Installs what a worker on a Raspberry Pi needs: wheels for aarch64, at the versions of constraints.txt."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    tags = [f"manylinux_2_{minor}_aarch64" for minor in range(SUITE_GLIBC, OLDEST_GLIBC - 1, -1)]
    run(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
        *("--target", str(folder), "--constraint", str(REPOSITORY / "constraints.txt")),
        *("--only-binary=:all:", "--implementation=cp", "--python-version=3.11"),
        *(f"--platform={tag}" for tag in [*tags, "manylinux2014_aarch64"]),
        *project["dependencies"],
        *project["optional-dependencies"]["worker"],
    )


def compile_library(folder: Path) -> None:
    """Compiles the standard library with this Python 3.11: bytecode is the same everywhere, emulation is slow."""
    run(sys.executable, "-m", "compileall", "-q", str(folder))


def run(*command: str) -> str:
    """What the command prints; if it fails, the program ends with what it said."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(f"error: {' '.join(command)}:\n{result.stdout}{result.stderr}")
    return result.stdout


if __name__ == "__main__":
    main()
