"""The mathematics that plugins share."""
