"""What keeps an execution from a slot: lines, limits, breakers, quarantine, holds, instants."""
