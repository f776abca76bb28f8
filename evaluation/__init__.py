"""Judges any method: a method is any function Patch -> Patch. Does not know how it works."""
