"""What an image is and where it comes from. No torch."""
