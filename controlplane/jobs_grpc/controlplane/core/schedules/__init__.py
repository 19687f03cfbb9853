"""The schedule table: what is due when, and who defines it."""
