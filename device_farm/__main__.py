"""``python -m device_farm`` and the ``device-farm`` command."""

from device_farm.cli import main

if __name__ == "__main__":
    main()
