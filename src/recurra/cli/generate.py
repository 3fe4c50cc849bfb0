"""`recurra generate RUN`: text from a trained model, character by character."""

from __future__ import annotations

import math
import secrets
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recurra.cli.arguments import Run
from recurra.cli.console import importing
from recurra.cli.help import Command
from recurra.cli.output import JSON, print_json

if TYPE_CHECKING:
    from recurra.tasks.decoding import Token

_EXAMPLES = """
recurra generate runs/book
recurra generate runs/book --prompt "Once " --temperature 0.5
recurra generate runs/book --seed 1 --num-samples 3 --json
"""


Prompt = Annotated[
    str, typer.Option(metavar="TEXT", help="The text to go on from; it is printed first.")
]
MaxNew = Annotated[
    int, typer.Option(metavar="N", show_default="500", help="Characters to generate.")
]
Temperature = Annotated[
    float,
    typer.Option(
        metavar="X",
        show_default="0.8",
        help="Above 0; below 1 the likely characters become likelier.",
    ),
]
TopK = Annotated[
    int | None, typer.Option(metavar="K", help="Choose among the K likeliest characters.")
]
TopP = Annotated[
    float | None,
    typer.Option(metavar="P", help="Choose among the likeliest that hold a share P together."),
]
Seed = Annotated[int | None, typer.Option(metavar="S", help="The same seed gives the same text.")]
NumSamples = Annotated[int, typer.Option(metavar="N", show_default="1", help="Texts to generate.")]


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("generate", cls=Command, epilog=_EXAMPLES)(_generate)


def _generate(
    run: Run,
    prompt: Prompt = "",
    max_new: MaxNew = 500,
    temperature: Temperature = 0.8,
    top_k: TopK = None,
    top_p: TopP = None,
    seed: Seed = None,
    num_samples: NumSamples = 1,
    as_json: JSON = False,
) -> None:
    """Generate text, printed as it comes.

    With --json: the texts with their log-probability in nats, as a whole and for each character,
    under the model as it was trained (before temperature, top-k and top-p).
    """
    with importing():
        import torch

        from recurra.tasks.decoding import generate
        from recurra.training.loading import load

    torch.set_num_threads(1)  # a step of one row is too little to share
    loaded = load(run)
    seed = secrets.randbelow(2**31) if seed is None else seed
    model, vocabulary = loaded.model, loaded.vocabulary
    tokens = generate(
        model, vocabulary, prompt, max_new, temperature, top_k, top_p, seed, num_samples
    )
    chances = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
    if as_json:
        print_json(_report(str(run), prompt, chances, num_samples, tokens))
    elif num_samples == 1:
        _stream(prompt, tokens)
    else:
        _print_samples(prompt, num_samples, tokens)


def _stream(prompt: str, tokens: Iterator[Token]) -> None:
    """Print one sample as it comes."""
    out = sys.stdout
    out.write(prompt)
    for token in tokens:
        out.write(token.characters[0])
        out.flush()
    out.write("\n")


def _print_samples(prompt: str, count: int, tokens: Iterator[Token]) -> None:
    """Print several samples, each under a line with its number."""
    texts = zip(*(token.characters for token in tokens), strict=True)
    for number, characters in enumerate(texts, start=1):
        typer.echo(f"--- {number} of {count} ---\n{prompt}{''.join(characters)}")


def _report(
    run: str, prompt: str, chances: dict[str, Any], count: int, tokens: Iterator[Token]
) -> dict[str, Any]:
    """All samples with their figures."""
    steps = list(tokens)
    samples = [_sample(steps, number) for number in range(count)]
    return {"run": run, "prompt": prompt, **chances, "samples": samples}


def _sample(steps: list[Token], number: int) -> dict[str, Any]:
    """One sample: its text, its log-probability in nats, and those of its characters."""
    characters = [
        {"character": step.characters[number], "log_probability": step.log_probs[number]}
        for step in steps
    ]
    total = math.fsum(step.log_probs[number] for step in steps)
    return {
        "text": "".join(step.characters[number] for step in steps),
        "log_probability": total,
        "bits_per_char": -total / len(steps) / math.log(2) if steps else None,
        "characters": characters,
    }
