"""The command line: one file a command. Heavy libraries are imported inside commands, so that `--help` is instant."""
