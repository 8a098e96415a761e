"""Words to counted pairs: weekly tables by SQL on DuckDB, and windows that sum them."""
