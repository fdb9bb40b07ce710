"""Published methods in a form that knows nothing of plugins, records or configurations."""
