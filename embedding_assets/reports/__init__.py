"""The report of a week: one HTML page that needs nothing else."""
