"""What any plugin keeps, tried on small problems: `trustbench check-plugin`, without pytest."""
