"""Stubs of the protocol buffers: the public API (`cloister.v1`) and what server and cell say (`cloister.cell.v1`)."""
