"""Pulumi policy pack: the design's rules that a machine can check on every preview and up."""
