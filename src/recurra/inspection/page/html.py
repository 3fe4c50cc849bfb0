"""A recording as one HTML file that needs nothing but a browser."""

from __future__ import annotations

import base64
import errno
import hashlib
import html
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recurra.errors import UsageError
from recurra.files import write_whole
from recurra.inspection.findings import Finding
from recurra.inspection.measuring import measure
from recurra.inspection.page.bundle import script, style
from recurra.inspection.page.data import Shown, document
from recurra.inspection.recording import Recording

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main id="page" aria-busy="true"><noscript>This page draws with JavaScript, which is off here.
Nothing in it leaves this file.</noscript></main>
<script type="application/json" id="document">{document}</script>
<script type="module">{script}</script>
</body>
</html>
"""


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _embedded(value: Any) -> str:
    """JSON that no HTML parser can take for markup: ASCII, without < > and &."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _whole(content: dict[str, Any]) -> str:
    code = script()
    policy = (
        f"default-src 'none'; script-src 'sha256-{_digest(code)}'; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    page = _PAGE.format(
        policy=policy,
        title=html.escape(content["title"]),
        style=style(),
        document=_embedded(content),
        script=code,
    )
    return page.encode("utf-8", "xmlcharrefreplace").decode("utf-8")


def to_html(
    recording: Recording,
    path: str | Path | None = None,
    *,
    compare: Recording | None = None,
    findings: Sequence[Finding] | None = None,
    compare_findings: Sequence[Finding] | None = None,
    titles: Sequence[str] = ("", ""),
    title: str = "",
    row: int = 0,
    steps: slice | None = None,
    units: Sequence[int] = (),
    max_mb: float = 10.0,
) -> str:
    """The page of a recording, as text; written to `path` where one is given.

    Args:
        recording: what `recurra.record` gave.
        path: a file to write; an existing one is not overwritten.
        compare: a second recording, shown side by side: another model or another input.
        findings: what measures found in the recording; None for those of `measure(recording)`,
            which need no inputs.
        compare_findings: the same of the second one.
        titles: what the two recordings are called on the page.
        title: of the page.
        row: which row of the batch.
        steps: which steps; all up to 5,000 unless said.
        units: units to keep exactly, beside those that vary most.
        max_mb: megabytes that the page may have; it keeps fewer units rather than exceed them.

    Raises:
        UsageError: a row or steps that the recording does not have, nothing recorded, or a page
            that cannot be that small.
        FileExistsError: there is something at `path`.
    """
    both = [recording] if compare is None else [recording, compare]
    for one in both:
        _check(Shown(one, row=row, steps=steps))
    found = [
        measure(one, row=row) if given is None else tuple(given)
        for one, given in zip(both, (findings, compare_findings), strict=False)
    ]
    names = [*titles, "", ""]
    runs = [
        Shown(one, found[k], names[k] or _title(one, k, len(both)), row, steps, tuple(units))
        for k, one in enumerate(both)
    ]
    room = max_mb * 1e6 - len(script()) - len(style())
    text = _whole(document(runs, title or "Inside a recurrent network", room))
    if len(text) > max_mb * 1e6:
        raise UsageError(
            f"the page would have {len(text) / 1e6:.1f} megabytes with the fewest units; "
            f"max_mb={max_mb:g}. Show fewer steps, as steps=slice(0, 500), or allow more."
        )
    if path is not None:
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        write_whole(Path(path), text.encode())
    return text


def _title(recording: Recording, index: int, count: int) -> str:
    cells = " and ".join(dict.fromkeys(part.graph.name for part in recording.parts.values()))
    return f"{'AB'[index]}: {cells}" if count > 1 else cells


def _check(run: Shown) -> None:
    """Refuse what a page cannot show, with the reason."""
    values = run.recording.values
    if not values:
        raise UsageError(
            "the recording holds no values, so there is nothing to show; record with names=None "
            "or with patterns that match some."
        )
    rows = next(iter(values.values())).shape[1]
    if not 0 <= run.row < rows:
        raise UsageError(f"row={run.row}, but the recording has the rows 0 to {rows - 1}.")
    start, stop, total = run.window()
    if start >= stop:
        raise UsageError(f"steps={run.steps} selects none of the {total} steps of row {run.row}.")


def notebook(recording: Recording, **options: Any) -> str:
    """The page in an iframe, for the output of a notebook's cell; arguments as of `to_html`."""
    source = html.escape(to_html(recording, **options), quote=True)
    return (
        f'<iframe title="Inside a recurrent network" srcdoc="{source}" '
        'sandbox="allow-scripts allow-downloads allow-modals" loading="lazy" '
        'style="width:100%;height:720px;border:1px solid #8884;border-radius:6px"></iframe>'
    )
