"""Code generated from ``proto/``; only ``device_farm.convert`` and the gRPC shells import it."""
