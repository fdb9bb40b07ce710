"""The files: records, arrays, trained models, and the folders they lie in."""
