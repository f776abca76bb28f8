"""Maps: where an input is picked, and a result on a map."""
