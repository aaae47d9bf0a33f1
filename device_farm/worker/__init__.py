"""What runs on a device: the process that stays connected, and the children that run models."""
