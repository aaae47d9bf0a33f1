"""Hardware-in-the-loop sweeps for mobile depth estimation; see the README for the commands."""
