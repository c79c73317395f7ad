"""The command line, as a person or a program would use it."""
