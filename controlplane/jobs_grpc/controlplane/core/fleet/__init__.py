"""The workers: sessions, and what operators have said about them."""
