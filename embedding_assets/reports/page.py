"""A report as one HTML page: no script, no font, no picture that lies elsewhere."""

import base64
from pathlib import Path

import jinja2

from embedding_assets.reports.week import Report

TEMPLATE = Path(__file__).with_name("page.html")


def render(report: Report) -> str:
    """The page; every text is escaped, so a key or a reason cannot become markup."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters |= {"number": number, "percent": percent, "png": data_url}
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(report=report)


def number(value: float | None) -> str:
    """Three decimals; a dash for what is not there."""
    return "–" if value is None else f"{value:.3f}"


def percent(share: float | None) -> str:
    """A share in percent; a dash for what is not there."""
    return "–" if share is None else f"{share:.1%}"


def data_url(png: bytes) -> str:
    """A picture as part of the page."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
