"""The Study tab: people choose between two pictures."""
