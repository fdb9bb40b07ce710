"""The subcommands: each module has `main(args) -> exit code` and is imported only when asked for."""
