"""Pictures in an asset's metadata: PNGs inside markdown, which the UI shows in place."""

import base64

import dagster as dg


def picture(png: bytes, title: str) -> dg.MarkdownMetadataValue:
    """`png` as a picture that needs no server."""
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{base64.b64encode(png).decode()})")
