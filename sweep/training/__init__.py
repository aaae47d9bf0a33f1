"""Training of one candidate, epoch by epoch, so that an attempt can stop anywhere and another can go on."""
