"""The models under test, and views of them."""
