"""What a private mechanism spends."""
