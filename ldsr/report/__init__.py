"""The report of one result: one HTML file for whoever was not there, that needs nothing else."""
