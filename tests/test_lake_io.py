"""The lake's IO manager under small assets of our own: what is stored, what is recorded, what is refused."""

from dataclasses import replace
from types import SimpleNamespace

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest
from dagster_helpers import FIRST, RUNS_DAGSTER, data_version, failures, key, metadata, retried, walk, week

from embedding_assets.partitions import asset_in, window_in
from embedding_assets.spec import last_weeks, this_week
from registry import Draft, Keep, Upstream, open_registry
from resources.lake import Lake
from resources.lake_files import LakeFiles
from resources.lake_io import LOAD_AS, LakeIOManager, _identity

pytestmark = RUNS_DAGSTER

WEEKLY = dg.WeeklyPartitionsDefinition(start_date=FIRST, day_offset=1, timezone="UTC")
IMPATIENT = dg.RetryPolicy(max_retries=2, delay=0)


@pytest.fixture
def project(tmp_path):
    return Runs(tmp_path)


class Runs:
    """Runs assets over one lake and one registry."""

    def __init__(self, root):
        self.files = LakeFiles(root / "lake")
        self.store = open_registry(root / "registry")
        lake = Lake(root=str(root / "lake"), registry_root=str(root / "registry"))
        self.resources = {"io_manager": LakeIOManager(root=lake.root, registry_root=lake.registry_root)}

    def run(self, *assets, monday=FIRST, select=None, run_id=None):
        """Materialise `select` of the assets, or all of them, for one week; may fail."""
        definitions = dg.Definitions(assets=assets, resources=self.resources, executor=dg.in_process_executor)
        selected = [asset.key for asset in select] if select else None
        with dg.DagsterInstance.ephemeral() as instance:
            return definitions.resolve_implicit_global_asset_job_def().execute_in_process(
                partition_key=monday, instance=instance, asset_selection=selected, raise_on_error=False, run_id=run_id
            )


def numbers(*values):
    return pa.table({"n": pa.array(values, pa.int64())}, pa.schema([pa.field("n", pa.int64(), nullable=False)]))


def raw_of(rows, name="raw/numbers"):
    """An asset without inputs whose week holds `rows`."""

    @dg.asset(key=key(name), partitions_def=WEEKLY, code_version="7", retry_policy=IMPATIENT)
    def raw():
        return rows

    return raw


def copy_of(upstream, name, source, *, doing=lambda _given: None):
    """An asset that stores all rows of its input, after `doing` something with it."""

    @dg.asset(
        key=key(name), partitions_def=WEEKLY, code_version="3", retry_policy=IMPATIENT, ins={"given": asset_in(source)}
    )
    def copied(given):
        doing(given)
        if isinstance(given, pa.Table):
            return given
        return pa.concat_tables(part.to_table() for part in given.values())

    assert source.asset == upstream.key.to_user_string()
    return copied


def words_of(keys, *, doing=lambda: None, ins=None, name="words/embedding"):
    """An asset that publishes one version with `keys`, or none where there are no keys."""

    @dg.asset(key=key(name), partitions_def=WEEKLY, retry_policy=IMPATIENT, ins=ins or {})
    def words(context, **_given):
        doing()
        vectors = np.eye(len(keys), 4, dtype=np.float32)
        draft = Draft(
            entity="word",
            name="words",
            keys=pa.array(keys, pa.string()),
            vectors=vectors,
            space=context.run.run_id[:16],
            week=context.partition_key,
        )
        return [draft] if keys else []

    return words


def test_the_same_rows_have_the_same_version_and_other_rows_another(project):
    first, again, other = (project.run(raw_of(rows)) for rows in (numbers(1, 2), numbers(1, 2), numbers(1, 3)))
    versions = [data_version(run, "raw/numbers") for run in (first, again, other)]
    assert versions[0] == versions[1] != versions[2]
    assert project.files.lineage("raw/numbers", FIRST).data_version == versions[2]


def test_metadata_describe_what_was_stored(project):
    run = project.run(raw_of(numbers(1, 2, 3)))
    found = metadata(run, "raw/numbers")
    assert (found["dagster/row_count"], found["state"], found["made_from"]) == (3, "filled", [])
    [column] = found["dagster/column_schema"].columns
    assert (column.name, column.type, column.constraints.nullable) == ("n", "int64", False)
    path = project.files.path("raw/numbers", FIRST)
    assert (found["path"], found["bytes"]) == (str(path), path.stat().st_size)
    assert found["data_version"] == data_version(run, "raw/numbers")


def test_an_empty_table_is_a_state_of_its_own(project):
    run = project.run(raw_of(numbers()))
    assert run.success
    assert (metadata(run, "raw/numbers")["state"], metadata(run, "raw/numbers")["dagster/row_count"]) == ("empty", 0)
    assert project.files.read("raw/numbers", FIRST).schema == numbers().schema


def test_lineage_is_the_tree_of_what_was_loaded_down_to_raw(project):
    raw = raw_of(numbers(1))
    middle = copy_of(raw, "mid/table", this_week("raw/numbers"))
    end = copy_of(middle, "end/table", last_weeks("mid/table", 2))
    runs = [project.run(raw, middle, end, monday=monday) for monday in (week(0), week(1))]
    tree = project.files.lineage("end/table", week(1))
    shape = [(node.asset, node.partition, node.run_id, node.code_version) for node in walk(tree)]
    assert shape == [
        ("end/table", week(1), runs[1].run_id, "3"),
        ("mid/table", week(0), runs[0].run_id, "3"),
        ("raw/numbers", week(0), runs[0].run_id, "7"),
        ("mid/table", week(1), runs[1].run_id, "3"),
        ("raw/numbers", week(1), runs[1].run_id, "7"),
    ]
    assert all(node.data_version for node in walk(tree))
    assert metadata(runs[1], "end/table")["made_from"] == [f"mid/table {week(0)}", f"mid/table {week(1)}"]


def test_lineage_keeps_what_was_loaded_though_the_input_is_made_anew_later(project):
    old, new = raw_of(numbers(1)), raw_of(numbers(2))
    copied = copy_of(old, "mid/table", this_week("raw/numbers"))
    first = project.run(old, copied)
    second = project.run(new)
    [loaded] = project.files.lineage("mid/table", FIRST).upstream
    assert (loaded.run_id, loaded.data_version) == (first.run_id, data_version(first, "raw/numbers"))
    assert data_version(second, "raw/numbers") != loaded.data_version


def test_a_missing_week_is_named_with_its_asset_and_not_retried(project):
    raw = raw_of(numbers(1))
    window = copy_of(raw, "mid/table", last_weeks("raw/numbers", 3))
    for index in (0, 2):
        assert project.run(raw, window, monday=week(index), select=[raw]).success
    run = project.run(raw, window, monday=week(2), select=[window])
    [message] = failures(run).values()
    assert f"raw/numbers has no partition {week(1)}; it has {week(0)} to {week(2)} (2 weeks)" in message
    assert "mid__table" in message
    assert retried(run) == []
    assert not project.files.exists("mid/table", week(2))


def test_an_error_that_may_pass_is_retried(project):
    tries = []

    def fail_once(_given):
        tries.append(1)
        if len(tries) == 1:
            raise OSError("the network is away")

    raw = raw_of(numbers(1))
    run = project.run(raw, copy_of(raw, "mid/table", this_week("raw/numbers"), doing=fail_once))
    assert run.success
    assert retried(run) == ["mid__table"]


def test_weeks_before_the_first_are_left_out(project):
    raw = raw_of(numbers(1))
    window = copy_of(raw, "mid/table", last_weeks("raw/numbers", 4))
    for index, rows in ((0, 1), (1, 2)):
        assert project.run(raw, window, monday=week(index)).success
        assert project.files.rows("mid/table", week(index)) == rows


@pytest.mark.parametrize("source", [this_week("raw/numbers"), last_weeks("raw/numbers", 1)])
def test_an_input_rewritten_while_it_is_read_is_refused(project, source):
    def rewrite(_given):
        changed = Upstream(asset="raw/numbers", partition=FIRST, data_version="elsewhere")
        project.files.write("raw/numbers", numbers(9), changed)

    raw = raw_of(numbers(1))
    copied = copy_of(raw, "mid/table", source, doing=rewrite)
    run = project.run(raw, copied)
    # The retry reads what the first try wrote; its own rewrite changes nothing more, so it may store.
    assert retried(run) == ["mid__table"]
    assert run.success
    assert project.files.lineage("mid/table", FIRST).upstream[0].data_version == "elsewhere"
    assert project.files.read("mid/table", FIRST).equals(numbers(9))


def test_nothing_is_published_from_an_input_that_was_rewritten(project):
    writes = iter("abcdef")

    def rewrite():
        changed = Upstream(asset="raw/numbers", partition=FIRST, data_version=next(writes))
        project.files.write("raw/numbers", numbers(9), changed)

    raw = raw_of(numbers(1))
    words = words_of(["a", "b"], doing=rewrite, ins={"given": asset_in(this_week("raw/numbers"))})
    run = project.run(raw, words)
    [message] = failures(run).values()
    assert f"raw/numbers {FIRST} changed while it was being read (data version b became c); run this step again" in (
        message
    )
    assert project.store.names() == []
    assert not project.files.exists("words/embedding", FIRST)


def test_drafts_become_versions_and_the_partition_points_at_them(project):
    raw = raw_of(numbers(1))
    run = project.run(raw, words_of(["a", "b"], ins={"given": asset_in(this_week("raw/numbers"))}))
    version = project.store["word/words@latest"]
    [row] = project.files.read("words/embedding", FIRST).to_pylist()
    assert (row["entity"], row["name"], row["number"], row["keys"], row["dim"]) == ("word", "words", 1, 2, 4)
    assert row["vectors_sha256"] == version.manifest.files["table.safetensors"].sha256
    assert [(node.asset, node.partition) for node in walk(version.lineage())] == [
        ("words/embedding", FIRST),
        ("raw/numbers", FIRST),
    ]
    assert version.lineage().run_id == run.run_id


def test_the_same_vectors_made_again_are_a_new_version_of_the_same_data(project):
    first, again = project.run(words_of(["a", "b"])), project.run(words_of(["a", "b"]))
    assert [info.number for info in project.store.versions("word/words")] == [1, 2]
    assert data_version(first, "words/embedding") == data_version(again, "words/embedding")
    other = project.run(words_of(["a", "c", "d"]))
    assert data_version(other, "words/embedding") != data_version(first, "words/embedding")


def test_no_drafts_are_an_empty_partition(project):
    run = project.run(words_of([]))
    assert metadata(run, "words/embedding")["state"] == "empty"
    assert project.store.names() == []


def test_a_retried_step_does_not_publish_twice(project):
    """The lake cannot be written to after the version is published; on the retry it can."""
    obstacle = project.files.path("words/embedding", FIRST).parent
    obstacle.parent.mkdir(parents=True)
    obstacle.write_text("a file where a folder belongs")
    tries = []

    def clear_on_retry():
        tries.append(1)
        if len(tries) == 2:
            obstacle.unlink()

    run = project.run(words_of(["a", "b"], doing=clear_on_retry))
    assert run.success
    assert retried(run) == ["words__embedding"]
    assert [info.number for info in project.store.versions("word/words")] == [1]
    assert project.files.read("words/embedding", FIRST)["number"].to_pylist() == [1]


def test_a_run_that_was_thought_dead_and_its_twin_publish_once(project):
    run_id = "0a5b1c9e-0000-4000-8000-000000000001"
    for _ in range(2):
        assert project.run(words_of(["a", "b"]), run_id=run_id).success
    assert [info.number for info in project.store.versions("word/words")] == [1]


def test_a_retry_after_an_input_changed_publishes_what_it_made_of_it(project, monkeypatch):
    """The version is published, the lake cannot be written, the input is rewritten, the step is tried again."""
    assert project.run(raw_of(numbers(1))).success
    before, write = project.files.lineage("raw/numbers", FIRST), LakeFiles.write

    def fail_once(files, asset, table, lineage):
        if asset == "words/embedding" and files.lineage("raw/numbers", FIRST) == before:
            write(files, "raw/numbers", numbers(2), replace(before, data_version="rewritten"))
            raise OSError(28, "No space left on device")
        return write(files, asset, table, lineage)

    monkeypatch.setattr(LakeFiles, "write", fail_once)
    words = words_of(["a", "b"], ins={"given": asset_in(this_week("raw/numbers"))})
    run = project.run(raw_of(numbers(1)), words, select=[words])
    assert run.success
    assert retried(run) == ["words__embedding"]
    [old, new] = [project.store[info.reference] for info in project.store.versions("word/words")]
    assert [one.lineage().upstream[0].data_version for one in (old, new)] == [before.data_version, "rewritten"]
    assert old.space != new.space
    assert project.files.read("words/embedding", FIRST)["number"].to_pylist() == [2]


def test_a_retried_run_has_the_name_of_the_run_that_it_repeats():
    def name_of(run_id, root=None, tags=(), code="1"):
        run = SimpleNamespace(run_id=run_id, root_run_id=root, tags=dict.fromkeys(tags, "1"))
        context = SimpleNamespace(step_context=SimpleNamespace(dagster_run=run))
        return _identity(context, Upstream(asset="a/b", partition=FIRST, data_version=None, code_version=code))

    retry = ("dagster/retry_number",)
    assert name_of("r2", "r1", retry) == name_of("r1")
    assert name_of("r2", "r1") != name_of("r1"), "somebody asked for it again"
    assert name_of("r2", "r1", retry, code="2") != name_of("r1")


def test_a_versions_input_skips_weeks_without(project):
    seen = {}

    @dg.asset(
        key=key("words/scores"),
        partitions_def=WEEKLY,
        ins={"versions": window_in("words/embedding", first=-3, load_as="versions")},
    )
    def scores(versions):
        seen.update({monday: [version.reference for version in found] for monday, found in versions.items()})
        return numbers(len(versions))

    made, nothing = words_of(["a", "b"]), words_of([])
    assert project.run(made, monday=week(0)).success
    assert project.run(nothing, monday=week(2)).success
    run = project.run(made, scores, monday=week(3))
    assert run.success
    assert seen == {week(0): ["word/words@v1"], week(2): [], week(3): ["word/words@v2"]}
    assert metadata(run, "words/scores")["made_from"] == [f"words/embedding {week(index)}" for index in (0, 2, 3)]


def test_an_erased_version_is_read_as_what_took_its_place_and_a_retired_one_not_at_all(project):
    lake = project.resources["io_manager"].lake
    for index in (0, 1):
        assert project.run(words_of(["a", "b"]), monday=week(index)).success
    assert [one.reference for one in lake.versions("words/embedding", week(0))] == ["word/words@v1"]
    project.store.erase("word", ["a"], reason="asked to go")
    [now] = lake.versions("words/embedding", week(0))
    assert (now.reference, now.keys().to_pylist()) == ("word/words@v3", ["b"])
    project.store.retain("word/words", Keep(last=1))
    left = [one.reference for index in (0, 1, 2) for one in lake.versions("words/embedding", week(index))]
    assert left == ["word/words@v4"], "v3 is retired, week 2 never ran"


def test_an_input_without_instructions_is_one_table(project):
    raw = raw_of(numbers(4, 5))

    @dg.asset(key=key("mid/table"), partitions_def=WEEKLY, ins={"given": dg.AssetIn(key=key("raw/numbers"))})
    def plain(given):
        return given

    assert LOAD_AS not in (plain.op.ins["given"].metadata or {})
    assert project.run(raw, plain).success
    assert project.files.read("mid/table", FIRST).equals(numbers(4, 5))


def test_an_asset_without_partitions_is_stored_and_read_too(project):
    @dg.asset(key=key("raw/whole"))
    def whole():
        return numbers(1)

    @dg.asset(key=key("mid/whole"), ins={"given": dg.AssetIn(key=key("raw/whole"))})
    def copied(given):
        return given

    definitions = dg.Definitions(assets=[whole, copied], resources=project.resources)
    run = definitions.resolve_implicit_global_asset_job_def().execute_in_process(raise_on_error=False)
    assert failures(run) == {}
    assert project.files.lineage("mid/whole", None).upstream[0].asset == "raw/whole"
