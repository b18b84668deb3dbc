"""Programs for developers: engines on this machine."""
