"""Cloister's own engine: MSER detection, the Word Deep Net, the Wordinator."""
