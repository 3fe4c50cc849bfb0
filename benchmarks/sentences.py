"""A generated text for character models: sentences whose ends depend on their beginnings."""

from __future__ import annotations

import random

SINGULAR = ("the clock", "a river", "the old man", "her sister", "no letter", "one lamp")
PLURAL = ("the clocks", "two rivers", "the old men", "her sisters", "all letters", "some lamps")
VERBS = ("stop", "sing", "wait", "turn", "shine", "return")
CLAUSES = ("that nobody saw", "which the wind had moved", "of the house by the sea", "", "")
NAMES = ("anna", "boris", "clara", "david")
ALPHABET = '\n abcdefghijklmnopqrstuvwxyz.,()"'


def text(characters: int, seed: int) -> str:
    """So many characters; the same seed gives the same.

    A verb agrees with a subject that may stand a clause before it, a bracket or a quotation that
    was opened is closed, and who began to speak is named again at the end of the sentence.
    """
    draw = random.Random(seed)
    found = ""
    while len(found) < characters:
        found += sentence(draw)
    return found[:characters]


def sentence(draw: random.Random) -> str:
    """One sentence with its end of line."""
    said = statement(draw)
    form = draw.randrange(4)
    if form == 0:
        return f"{said}.\n"
    if form == 1:
        return f"{said} ({statement(draw)}).\n"
    name = draw.choice(NAMES)
    return f'{name} said "{said}", and {draw.choice(("then", "so"))} did {name}.\n'


def statement(draw: random.Random) -> str:
    """A subject, perhaps a clause, and the verb that agrees with the subject."""
    plural = draw.random() < 0.5
    subject = draw.choice(PLURAL if plural else SINGULAR)
    verb = draw.choice(VERBS) + ("" if plural else "s")
    return " ".join(part for part in (subject, draw.choice(CLAUSES), verb) if part)
