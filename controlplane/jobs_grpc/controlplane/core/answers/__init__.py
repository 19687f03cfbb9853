"""Answers for people: why it waits, what happened, what is due."""
