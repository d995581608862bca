"""Documents in: files of several formats to pages of pixels. Documents out: what was read, drawn or written."""
