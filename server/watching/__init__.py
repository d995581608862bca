"""Looks at running servers from outside, by the metrics they show: for `cloister top` and `cloister reload`."""
