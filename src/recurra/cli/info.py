"""`recurra info RUN`: what a run folder holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from recurra.cli.arguments import Run
from recurra.cli.console import importing
from recurra.cli.help import Command
from recurra.cli.output import JSON, print_facts, print_json

if TYPE_CHECKING:
    from recurra.training.run_folder import RunFolder

_EXAMPLES = """
recurra info runs/book
recurra info runs/book --json
"""


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("info", cls=Command, epilog=_EXAMPLES)(_info)


def _info(
    run: Run,
    as_json: JSON = False,
) -> None:
    """Tell what is in a run: configuration, sizes, progress, best measure.

    All its files are read, so that a damaged one is found.
    """
    with importing():
        from recurra.training.run_folder import RunFolder

    folder = RunFolder(run)
    config = folder.load_config()
    found = {
        "run": str(run),
        **_sizes(folder),
        **_progress(folder),
        "best": _best(folder),
        "kernel_cache": _kernel_cache(),
        "config": config.model_dump(),
    }
    if as_json:
        print_json(found)
    else:
        print_facts(_facts(found))
        typer.echo("\n" + config.text().rstrip())


def _sizes(folder: RunFolder) -> dict[str, Any]:
    """Parameters, symbols, and the bytes of each file; None for what is not there yet."""
    from recurra.data.vocabulary import Vocabulary
    from recurra.training.files import read_tensors

    parameters = symbols = None
    if folder.weights.exists():
        parameters = sum(tensor.numel() for tensor in read_tensors(folder.weights)[0].values())
    vocabulary = folder.path / "vocabulary.json"
    if vocabulary.exists():
        symbols = len(Vocabulary.from_json(vocabulary.read_text(encoding="utf-8")))
    files = {
        path.relative_to(folder.path).as_posix(): path.stat().st_size
        for path in sorted(folder.path.rglob("*"))
        if path.is_file()
    }
    return {"parameters": parameters, "vocabulary": symbols, "files": files}


def _progress(folder: RunFolder) -> dict[str, Any]:
    """Steps and seconds of the last checkpoint, and the epochs of the last evaluation."""
    from recurra.training import checkpoint, metrics

    records = metrics.read(folder.metrics)
    last = records[-1] if records else {}
    if folder.checkpoint.exists():
        last = {**last, **checkpoint.load(folder.checkpoint)["progress"]}
    return {
        "steps": last.get("step", 0),
        "seconds": last.get("seconds", 0.0),
        "evaluations": sum(record["split"] == "validation" for record in records),
    }


def _best(folder: RunFolder) -> dict[str, Any] | None:
    """The record of the best evaluation, whose weights the run keeps."""
    from recurra.training import metrics

    records = [r for r in metrics.read(folder.metrics) if r["split"] == "validation"]
    measured = [record for record in records if "bits_per_char" in record]
    return min(measured, key=lambda record: record["bits_per_char"], default=None)


def _kernel_cache() -> dict[str, Any] | None:
    """The folder that RECURRA_CACHE names and what it holds; None where it names none."""
    from recurra.backends.cpu import cache

    place = cache.folder()
    if place is None:
        return None
    kernels, size = cache.usage(place)
    return {"folder": str(place), "kernels": kernels, "bytes": size}


def _facts(found: dict[str, Any]) -> list[tuple[str, str]]:
    """What is found, in words."""
    from recurra.data import characters
    from recurra.data.vocabulary import UNKNOWN

    symbols = found["vocabulary"]
    best = found["best"]
    measure = f"{best['bits_per_char']:.4f} at step {best['step']}" if best else "not measured yet"
    size = sum(found["files"].values())
    kept = found["kernel_cache"]
    kernels = [] if kept is None else [("kernel cache", _cached(kept))]
    return [
        ("run", found["run"]),
        ("steps", f"{found['steps']:,}"),
        ("training", f"{found['seconds']:,.1f} seconds"),
        ("evaluations", str(found["evaluations"])),
        ("best", f"bits per character: {measure}" if best else measure),
        ("parameters", "none yet" if found["parameters"] is None else f"{found['parameters']:,}"),
        (
            "vocabulary",
            "none yet" if symbols is None else f"{characters(symbols - 1)} and {UNKNOWN}",
        ),
        ("on disk", f"{size:,} bytes in {len(found['files'])} files"),
        *kernels,
    ]


def _cached(kept: dict[str, Any]) -> str:
    return f"{kept['folder']} ({kept['bytes']:,} bytes, kernels: {kept['kernels']})"
