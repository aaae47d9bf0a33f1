"""Regenerates this package's protobuf and gRPC code: ``python -m device_farm.rpc.generate``.

Needs grpcio-tools (the ``dev`` extra) and a checkout, since ``proto/`` is not part of the installed package.
"""

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
GENERATED = ("farm_pb2.py", "farm_pb2.pyi", "farm_pb2_grpc.py")


def generate(output: Path) -> None:
    """Writes the generated files to ``output/device_farm/rpc/``.

    Raises:
        subprocess.CalledProcessError: protoc refused the definitions; its message is on stderr.
    """
    # The mapping gives the file the path of this package, so that the generated imports need no rewriting.
    mapping = f"device_farm/rpc={REPOSITORY / 'proto' / 'device_farm' / 'v1'}"
    subprocess.run(
        [
            *(sys.executable, "-m", "grpc_tools.protoc", f"-I{mapping}"),
            *(f"--{kind}_out={output}" for kind in ("python", "pyi", "grpc_python")),
            "device_farm/rpc/farm.proto",
        ],
        check=True,
    )


if __name__ == "__main__":
    generate(REPOSITORY)
