"""Training data that an attacker has touched, and how suspicious rows are found."""
