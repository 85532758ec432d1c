"""hpsearch: staged random search for hyperparameters.

Importing the package loads nothing heavy; each room loads what it needs when it is used.
"""

__version__ = "0.2.0"
