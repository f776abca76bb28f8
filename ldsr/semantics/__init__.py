"""What is on the ground: land-cover tags with probabilities, and where they come from."""
