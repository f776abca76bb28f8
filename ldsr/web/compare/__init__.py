"""The Compare tab: pictures and maps of numbers under one zoom and one cursor."""
