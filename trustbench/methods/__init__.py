"""Published methods, independent of plugins, records and configurations."""
