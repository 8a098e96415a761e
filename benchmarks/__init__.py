"""Is this embedding good? A version and pinned data go in, scores with intervals come out."""
