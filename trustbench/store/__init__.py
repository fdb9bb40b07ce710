"""The store: records, arrays, trained models, and the folders that hold them."""
