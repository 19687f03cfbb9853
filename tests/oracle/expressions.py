"""Random expressions: all forms of the dialect that draw nothing from a hash."""

from __future__ import annotations

import random


def random_term(source: random.Random, index: int) -> str:
    low, high = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)][index]
    first, second = source.randint(low, high), source.randint(low, high)
    if index == 1 and source.random() < 0.5:
        first = source.randint(0, 4)  # where the changes are
    step = source.choice([2, 3, 5, 7])
    number = {3: "JAN MAR MAY OCT NOV DEC", 4: "SUN MON WED FRI SAT"}.get(index)
    name = source.choice(number.split()) if number else str(first)
    return source.choice(
        [
            str(first),
            str(first),
            name,
            f"{min(first, second)}-{max(first, second)}",
            f"{first}-{second}",
            f"{first}-{second}/{step}",
            f"{first}/{step}",
            f"*/{step}",
        ]
    )


def random_column(source: random.Random, index: int) -> str:
    if source.random() < (0.2, 0.35, 0.6, 0.75, 0.6)[index]:
        return source.choice(["*", "*", "*", "?"]) if index in (2, 4) else "*"
    if index == 2 and source.random() < 0.15:
        return source.choice(["L", "L,15", "1,L"])
    if index == 4 and source.random() < 0.25:
        return source.choice(["0L", "5L", "1#1", "SUN#2", "3#5,FRIL", "1-3,6#4"])
    terms = 1 if source.random() < 0.7 else source.randint(2, 3)
    return ",".join(random_term(source, index) for _ in range(terms))


def random_expression(source: random.Random) -> str:
    columns = [random_column(source, index) for index in range(5)]
    if source.random() < 0.15:
        columns.insert(0, source.choice(["0", "30", "*/20", "5,50", "10-12", "*"]))
    return " ".join(columns)
