"""Programs for developers: checks of the repository, release builds, and clusters on this machine."""
