"""What a public server needs: health, log, login, headers, limits, and a graceful end."""
