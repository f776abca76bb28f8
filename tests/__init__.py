"""Tests of LDSR Studio."""
