"""One offline page that shows a recording: `to_html`, and `notebook` for a cell's output."""

from recurra.inspection.page.html import notebook as notebook
from recurra.inspection.page.html import to_html as to_html

__all__ = ["notebook", "to_html"]
