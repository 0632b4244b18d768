"""What all services of DRAG have in common: settings, messages, queue, logs, metrics and the command line."""
