"""A farm of devices that measure the latency of TFLite files: coordinator, workers and client."""
