"""Integer and half-precision forms of a float TFLite graph."""
