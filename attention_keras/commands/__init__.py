"""What each command of `attention-keras` does."""
