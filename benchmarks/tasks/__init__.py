"""One file a task, each with a `TASK`; `benchmarks.runner.discover` finds them all."""
