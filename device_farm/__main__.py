"""``python -m device_farm`` and the ``device-farm`` command."""

import os


def main() -> None:
    """Runs the command line."""
    # gRPC would write each failed handshake to stderr in its own words; it reads this when it is imported.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from device_farm.cli import main as run

    run()


if __name__ == "__main__":
    main()
