"""The rows of the store: what a step writes, what a term begins with."""
