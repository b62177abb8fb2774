"""A session in a process of its own: what it has finished is kept in a journal, and it goes on behind a crash."""
