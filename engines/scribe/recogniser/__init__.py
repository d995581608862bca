"""The recogniser: windows of pixels in, readings out."""
