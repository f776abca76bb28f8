"""Whether the uncertainty of a run deserves its name, on places it was not calibrated on."""
