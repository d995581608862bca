"""Runs jobs on untrusted bytes in cells: forked, jailed, gone after one request. Knows nothing of what a job does."""
