"""What the command `audit` says before it loads anything heavy."""

FORMATS = ("terminal", "md", "json", "junit")
