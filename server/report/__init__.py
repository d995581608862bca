"""What comparisons of two engines say, and what follows from it: figures with intervals, and a recommendation."""
