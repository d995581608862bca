"""Training of the orientation net: made pages, their crops, the net, the weights that ship."""
