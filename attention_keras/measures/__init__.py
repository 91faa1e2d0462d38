"""Measures of answers and of maps: pure functions of arrays, without a framework."""
