"""The report of a benchmark: one HTML file that works offline, and a still for a README."""
