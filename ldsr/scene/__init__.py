"""Whole scenes: windows of a picture, super-resolved in one process or on a cluster, into one COG.

Read `job.py` first: it is the table of contents.
"""
