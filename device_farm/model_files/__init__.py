"""TFLite files as bytes: whether they are whole, and how they are cut to time their operators."""
