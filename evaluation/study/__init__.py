"""Human studies: people choose between two pictures; what they chose, kept and counted."""
