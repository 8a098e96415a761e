"""Find the tasks, choose those that fit an entity, run them on one version."""

import difflib
import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from types import ModuleType

import benchmarks.tasks
from benchmarks.task import Evaluation, InvalidTask, Task, Undefined, UnknownTask, undefined_score
from registry.records import Score


def discover(package: ModuleType = benchmarks.tasks) -> dict[str, Task]:
    """Every `TASK` of a package's modules by its id, in the order of the modules' names.

    Raises:
        InvalidTask: a module has no `TASK`, or two modules have one id.
    """
    tasks: dict[str, Task] = {}
    for name in sorted(found.name for found in pkgutil.iter_modules(package.__path__)):
        module = importlib.import_module(f"{package.__name__}.{name}")
        task = getattr(module, "TASK", None)
        if not isinstance(task, Task):
            raise InvalidTask(f"{module.__name__} has no TASK (got {task!r}); a task file ends with TASK = Task(...)")
        if task.id in tasks:
            raise InvalidTask(f"{module.__name__} has the task id {task.id!r}, which another file has; rename one")
        tasks[task.id] = task
    return tasks


def find(tasks: Mapping[str, Task], task_id: str) -> Task:
    """The task of that id.

    Raises:
        UnknownTask: there is none; the message lists close matches, or all ids.
    """
    if task_id in tasks:
        return tasks[task_id]
    close = difflib.get_close_matches(task_id, tasks, n=3)
    hint = f"did you mean {', '.join(close)}?" if close else f"known: {', '.join(tasks)}"
    raise UnknownTask(f"no benchmark task {task_id!r}; {hint}")


def applicable(tasks: Mapping[str, Task], entity: str) -> tuple[Task, ...]:
    """The tasks that judge embeddings of an entity type, in their order."""
    return tuple(task for task in tasks.values() if task.entity in (None, entity))


def run_tasks(tasks: Iterable[Task], evaluation: Evaluation) -> list[Score]:
    """Scores of every task on one version, in order.

    A task that does not apply gives none. One that cannot run on this evaluation, or finds its data
    degenerate, gives one undefined score a metric, with the reason. Any other exception ends the run,
    with a note that names task and version.
    """
    return [score for task in tasks for score in run_task(task, evaluation)]


def run_task(task: Task, evaluation: Evaluation) -> list[Score]:
    """Scores of one task; see `run_tasks`."""
    try:
        if not task.applies(evaluation):
            return []
        _require(task, evaluation)
        return list(task.score(evaluation))
    except Undefined as gap:
        return [undefined_score(task.id, metric, gap, seed=evaluation.seed) for metric in task.metrics]
    except Exception as error:
        error.add_note(f"in benchmark task {task.id} on {evaluation.version.reference}")
        raise


def _require(task: Task, evaluation: Evaluation) -> None:
    """Raise `Undefined` naming everything that the task needs and this evaluation lacks."""
    lacks = [f"label table {name}" for name in task.needs_labels if name not in evaluation.labels]
    lacks += [f"file {name}" for name in task.needs_files if name not in evaluation.files]
    if task.needs_history and task.needs_history not in evaluation.history:
        lacks.append(f"version of {task.needs_history} week(s) before {evaluation.week or 'this one'}")
    if lacks:
        raise Undefined(f"needs what is not there: {', '.join(lacks)}")
