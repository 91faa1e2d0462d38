"""Maps that explain an answer."""
