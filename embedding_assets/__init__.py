"""From raw events to registered embedding versions, as Dagster assets.

Nothing is imported here: a reader of one trainer loads no Dagster, and the code server loads no JAX.
"""
