"""The recorder, as an app uses it: real files, real processes, real kills."""
