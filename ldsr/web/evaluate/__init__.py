"""The Evaluate tab: scores of the result on the screen, and the small benchmark."""
