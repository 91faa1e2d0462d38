"""Functional graphs: backbones with named taps, attention on top, and the names of the paper."""
