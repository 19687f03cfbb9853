"""Real processes, real faults, and a judge who believes only witnesses.

``make chaos`` runs a server and three workers under load for some minutes, does to them
what hosts, networks and disks do, and judges the history by what the jobs themselves wrote
down. Nothing in the product knows of it.
"""
