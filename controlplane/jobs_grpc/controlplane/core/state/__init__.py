"""What a term holds and is told: definitions, executions, sessions, and the words for them."""
