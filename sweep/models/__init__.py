"""Depth networks in PyTorch, built from the architecture part of a candidate."""

from sweep.models.network import FRAME_SIZE, MAX_DEPTH_M, MIN_DEPTH_M, DepthNetwork, build_network

__all__ = ["FRAME_SIZE", "MAX_DEPTH_M", "MIN_DEPTH_M", "DepthNetwork", "build_network"]
