"""What is kept of comparisons: counts in a database; documents only with consent, encrypted, and for a time."""
