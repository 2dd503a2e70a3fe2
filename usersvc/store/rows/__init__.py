"""Domain values from rows and back."""
