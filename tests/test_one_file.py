"""Adding an embedding is one file: a user writes it, and it is built, made, published and judged."""

import numpy as np
import pyarrow as pa
import pytest
from dagster_helpers import FIRST, RUNS_DAGSTER, Project, checks, failures, metadata, week, weeks, weeks_of

from embedding_assets.embeddings import all_specs, load_spec
from embedding_assets.factory import build, labels_of
from embedding_assets.sources.synthetic import SyntheticTwitter
from embedding_assets.sources.synthetic.lexicon import lexicon
from embedding_assets.spec import SpecError

pytestmark = RUNS_DAGSTER

BROWSING = '''
"""`browsing`: users and web domains in one space, from who visits what."""

import duckdb
import pyarrow as pa

from embedding_assets.spec import EmbeddingSpec, Stage, Window, this_week
from embedding_assets.tables.vocabulary import stable_ids
from embedding_assets.tables.window import Prune
from embedding_assets.trainers.sgns import Sgns


def count_keys(column: str):
    """A stage function: how often each key of `column` occurs in the week."""

    def count(connection: duckdb.DuckDBPyConnection, visits: pa.Table) -> pa.Table:
        ids = stable_ids(connection, visits[column])
        return connection.sql(
            f"SELECT key, id, count(*) AS count FROM visits JOIN ids ON {column} = key GROUP BY ALL ORDER BY id"
        ).to_arrow_table()

    return count


def count_visits(connection: duckdb.DuckDBPyConnection, visits: pa.Table) -> pa.Table:
    """How often each user that is known visited each domain."""
    users, domains = stable_ids(connection, visits["user_id"]), stable_ids(connection, visits["domain"])
    return connection.sql(
        "SELECT users.id AS row_id, domains.id AS col_id, count(*) AS count "
        "FROM visits JOIN users ON user_id = users.key JOIN domains ON domain = domains.key "
        "GROUP BY ALL ORDER BY ALL"
    ).to_arrow_table()


VISITS = {"visits": this_week("raw/site_visits")}

SPEC = EmbeddingSpec(
    name="browsing",
    entity="user",
    about="Users and the web domains that they visit, in one space.",
    stages=(
        Stage(name="users", about="One row a user of the week.", inputs=VISITS, make=count_keys("user_id")),
        Stage(name="domains", about="One row a domain of the week.", inputs=VISITS, make=count_keys("domain")),
        Stage(name="visits", about="One row a user and a domain.", inputs=VISITS, make=count_visits),
    ),
    window=Window(
        pairs="browsing/visits",
        rows="browsing/users",
        columns="browsing/domains",
        column_entity="domain",
        weeks=2,
        prune=Prune(min_count=3, subsample=None),
    ),
    trainer=Sgns(dim=16, epochs=4),
    owner="team:browsing",
    tags={"surface": "web"},
)
'''


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project whose only embedding is the user's, and the runs of its first two weeks."""
    folder = tmp_path_factory.mktemp("one_file")
    (folder / "browsing.py").write_text(BROWSING)
    spec = load_spec(folder / "browsing.py", "browsing")
    source = SyntheticTwitter(users=600, tweets_per_week=200, visits_per_user=15.0, first_week=FIRST)
    project = Project.open(folder / "home", source=source, specs=[spec])
    labels = {label.asset for label in labels_of(spec, source).values()}
    needed = ["raw/site_visits", *labels, *spec.assets, "browsing/embedding", "browsing/scores"]
    runs = [project.run(monday, *needed) for monday in weeks(0, 1)]
    assert [failures(run) for run in runs] == [{}, {}]
    return project, runs


def test_the_file_is_all_that_its_assets_need(made):
    project, _ = made
    specs = {spec.key.to_user_string(): spec for spec in project.definitions.resolve_all_asset_specs()}
    own = {name for name in specs if name.split("/")[0] == "browsing"}
    stages = ("users", "domains", "visits", "embedding", "scores", "production", "tuning")
    assert own == {f"browsing/{stage}" for stage in stages}
    assert specs["browsing/embedding"].tags["surface"] == "web"
    assert {spec.group_name for name, spec in specs.items() if name in own} == {"browsing"}
    assert {tuple(spec.owners) for name, spec in specs.items() if name in own} == {("team:browsing",)}


def test_an_embedding_may_read_the_tables_of_another(tmp_path):
    file = tmp_path / "small.py"
    file.write_text(
        "from embedding_assets.spec import EmbeddingSpec, Window\n"
        "from embedding_assets.trainers.sgns import Sgns\n"
        "SPEC = EmbeddingSpec(name='small', entity='word', about='Few dimensions.', stages=(), trainer=Sgns(dim=8),\n"
        "    window=Window(pairs='word/pairs', rows='word/vocabulary', weeks=1))\n"
    )
    small, word = load_spec(file, "small"), next(spec for spec in all_specs() if spec.name == "word")
    built = build(SyntheticTwitter(), [small, word])
    keys = {key.to_user_string() for asset in built.assets for key in asset.keys}
    assert {"small/embedding", "word/pairs", "word/embedding", "text/tokens"} <= keys
    assert len(keys) == len(built.assets)


@pytest.mark.parametrize(
    ("written", "instead", "said"),
    [
        ('name="browsing"', 'name="my-browsing"', "SPEC.name must match"),  # Dagster takes no such group
        ('name="browsing"', 'name="raw"', "SPEC.name must match"),
        ("duckdb.DuckDBPyConnection, visits", "duckdb.DuckDBPyConnection, clicks", r"names \['visits'\], but make\(\)"),
        ('"visits": this_week', '"engine": this_week', r"may not be named \['engine'\]"),
    ],
)
def test_names_that_dagster_or_we_use_are_refused(tmp_path, written, instead, said):
    assert written in BROWSING
    (tmp_path / "browsing.py").write_text(BROWSING.replace(written, instead))
    with pytest.raises(SpecError, match=said) as caught:
        load_spec(tmp_path / "browsing.py", "browsing")
    assert str(tmp_path / "browsing.py") in str(caught.value)


def test_both_entities_are_published_in_one_space(made):
    project, _ = made
    assert project.store.names() == ["domain/browsing", "user/browsing"]
    for monday in weeks(0, 1):
        users, domains = (project.store[f"{entity}/browsing@{monday}"] for entity in ("user", "domain"))
        assert users.space == domains.space
        assert (users.dim, domains.dim) == (16, 16)
        assert len(users) != len(domains)
    assert users.space != project.store[f"user/browsing@{week(0)}"].space


def test_the_window_reaches_back_two_weeks(made):
    project, _ = made
    for index in range(2):
        lineage = project.store[f"domain/browsing@{week(index)}"].lineage()
        assert weeks_of(lineage, "raw/site_visits") == weeks(0, index)
        assert weeks_of(lineage, "raw/tweets") == []


def test_both_entities_are_judged_and_shown_apart(made):
    project, runs = made
    found = metadata(runs[1], "browsing/scores")
    for entity in ("user", "domain"):
        version = project.store[f"{entity}/browsing@{week(1)}"]
        kept = {score.metric: score.value for score in version.scores()}["vocabulary_kept"]
        assert found[f"{entity} stability.v1/vocabulary_kept"] == kept
    assert found["history user/browsing"].startswith("![")
    assert all(check.passed for check in checks(runs[1], "browsing/embedding").values())


def topics_of(domains):
    """Topic of each domain, told by its name as the synthetic source makes it; None for a portal."""
    topic = {word: row.name for row in lexicon().topics for word in row.words["en"]}
    return [topic.get(domain.rsplit("-", 1)[0]) if "-" in domain else None for domain in domains]


def test_neighbors_of_a_domain_share_its_topic(made):
    project, _ = made
    domains = project.store[f"domain/browsing@{week(1)}"]
    names = domains.keys().to_pylist()
    topic = dict(zip(names, topics_of(names), strict=True))
    asked = [name for name in names if topic[name]]
    assert len(asked) > 50
    shares = [
        np.mean([topic[near] == topic[name] for near in found])
        for name, found in zip(asked, domains.neighbors(pa.array(asked), k=5).keys, strict=True)
    ]
    counts = np.unique([topic[name] for name in asked], return_counts=True)[1]
    chance = np.sum(counts * (counts - 1)) / (len(asked) * (len(names) - 1))
    assert np.mean(shares) > 3 * chance


def test_a_user_lies_near_the_domains_of_its_topic(made):
    """What one space is for: a user's neighbours among the domains are what the user cares for."""
    project, _ = made
    users, domains = (project.store[f"{entity}/browsing@{week(1)}"] for entity in ("user", "domain"))
    names = domains.keys().to_pylist()
    topic = dict(zip(names, topics_of(names), strict=True))
    rows = SyntheticTwitter(users=600, first_week=FIRST).read("user_topics", week(1)).rows.to_pylist()
    cares = {user: {row["topic"] for row in rows if row["user_id"] == user} for user in users.keys().to_pylist()}
    near = domains.neighbors(users.numpy(), k=5).keys
    named = [
        (topic[name], cares[user]) for user, found in zip(cares, near, strict=True) for name in found if topic[name]
    ]
    hits = np.mean([name in wanted for name, wanted in named])
    every = [topic[name] for name in names if topic[name]]
    chance = np.mean([np.mean([name in wanted for name in every]) for _, wanted in named])
    assert hits > 1.5 * chance
