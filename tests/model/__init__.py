"""The file source against a model: random sequences of what happens to log files, to the process and to the upstream."""
