"""Handles on the outside world that Dagster configures: lake, DuckDB, device, benchmark files."""
