"""Runs a session in a child process: finished cases are kept in a journal, and the session continues after a crash."""
