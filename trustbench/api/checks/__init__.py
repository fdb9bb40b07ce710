"""Contract checks of any plugin on small problems: `trustbench check-plugin`, without pytest."""
