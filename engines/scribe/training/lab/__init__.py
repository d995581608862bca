"""The lab: records of training runs, the notebook made of them, and tools to look at data, misreadings and confidence.

`cloister lab` is its command line. MLflow and matplotlib come with the training extra, and are imported where they are
needed.
"""
