"""The subcommands: each module has `main(args) -> exit code` and is imported on demand."""
