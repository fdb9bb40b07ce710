"""trustbench: what improving one aspect of trustworthy AI does to the others."""

__version__ = "0.1.0"
