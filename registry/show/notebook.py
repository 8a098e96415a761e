"""Cards as HTML for a notebook: no script, every text escaped, colours of the page around it."""

from collections.abc import Iterator, Sequence
from html import escape

from registry.records import Upstream
from registry.show.cards import Card, Row, cell_text, flat_facts, is_number_column, node_text, printable, used_columns

_STYLE = """
.embeddings-card{font:13px/1.45 system-ui,sans-serif;max-width:72em;overflow-x:auto;color:inherit}
.embeddings-card h4{font:600 15px/1.4 ui-monospace,monospace;margin:.2em 0 .5em}
.embeddings-card h5{font:600 13px/1.4 system-ui,sans-serif;margin:.9em 0 .2em}
.embeddings-card table{border-collapse:collapse;margin:0;font-size:13px}
.embeddings-card th,.embeddings-card td{text-align:left!important;vertical-align:top;padding:.15em .9em .15em 0;
 border:0;overflow-wrap:anywhere;background:none}
.embeddings-card th{font-weight:600;white-space:nowrap}
.embeddings-card thead th,.embeddings-card tbody.rows td{border-bottom:1px solid rgba(128,128,128,.3)}
.embeddings-card .number{text-align:right!important;font-variant-numeric:tabular-nums;white-space:nowrap}
.embeddings-card ul{list-style:none;margin:0;padding-left:1.1em;border-left:1px solid rgba(128,128,128,.3)}
.embeddings-card summary{cursor:pointer}
"""


def card_of(card: Card) -> str:
    """A card as one `<div>`."""
    return "".join(_parts(card))


def _parts(card: Card) -> Iterator[str]:
    yield f'<style>{_STYLE}</style><div class="embeddings-card"><h4>{_text(card.title)}</h4>'
    facts = list(flat_facts(card.facts))
    if facts:
        yield "<table><tbody>"
        for name, value in facts:
            yield f"<tr><th>{_text(name)}</th><td>{_text(cell_text(value))}</td></tr>"
        yield "</tbody></table>"
    for caption, rows in card.tables.items():
        if rows:
            yield f"<h5>{_text(caption)}</h5>{_table(rows)}"
    if card.lineage is not None:
        yield f"<h5>lineage</h5><ul>{_tree(card.lineage, set())}</ul>"
    yield "</div>"


def _table(rows: Sequence[Row]) -> str:
    names = used_columns(rows)
    kinds = {name: ' class="number"' if is_number_column(rows, name) else "" for name in names}
    head = "".join(f"<th{kinds[name]}>{_text(name)}</th>" for name in names)
    lines = ("".join(f"<td{kinds[name]}>{_text(cell_text(row[name]))}</td>" for name in names) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<table><thead><tr>{head}</tr></thead><tbody class="rows">{body}</tbody></table>'


def _tree(node: Upstream, shown: set[Upstream]) -> str:
    """A list item, its own children in sight; a node that stands in the tree already is not unfolded again."""
    text = _text(node_text(node))
    if not node.upstream:
        return f"<li>{text}</li>"
    if node in shown:
        return f"<li>{text} (see above)</li>"
    folded = "" if shown else " open"
    shown.add(node)
    below = "".join(_tree(upstream, shown) for upstream in node.upstream)
    return f"<li><details{folded}><summary>{text}</summary><ul>{below}</ul></details></li>"


def _text(text: str) -> str:
    return escape(printable(text))
