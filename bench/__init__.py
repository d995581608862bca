"""Measures Cloister beside its peers, in one run. Every figure in the README comes from here."""
