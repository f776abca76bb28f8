"""The Super-resolve tab: input, knobs, a run as it goes, and what the viewer shows."""
