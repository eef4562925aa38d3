"""The facts stored in a recommendations file and in the manifest beside it."""

from pydantic import Field

from recsys_cli.utils.json_record import Day, JsonRecord


class FileIdentity(JsonRecord):
    """Which lists a file holds, and what they were made from.

    Attributes:
        key: a hash of all that decides the bytes of the file.
        example_user: a user whose list is a good example for `explain`; None where there are no users.
    """

    schema_version: int
    day: Day = Field(alias="date")
    key: str
    features_content_hash: str
    example_user: int | str | None


class ScoringTerms(JsonRecord):
    """How the lists were asked for.

    Attributes:
        index: how vectors were searched; shortlist: candidates of a user that all trees scored.
    """

    model_version: str
    all_users: bool
    top_k: int
    index: str
    shortlist: int


class ReuseFacts(JsonRecord):
    """Lists of an earlier day that a file reuses.

    Attributes:
        sha256: of the earlier file; ranked, reused: users.
    """

    day: Day = Field(alias="date")
    sha256: str
    ranked: int
    reused: int = Field(alias="carried")


class ListFigures(JsonRecord):
    """Counts over all lists of a file.

    Attributes:
        index_recall: share of the exact lists that the index finds; unset where all items are looked at.
        fallback_rows: rows that popularity alone proposed.
        items: distinct items of the lists; top_item_lists: lists that hold the most frequent one.
    """

    reuse: ReuseFacts | None = Field(default=None, alias="carried")
    index_recall: float | None = None
    users: int
    warm_users: int
    cold_users: int
    candidates: int
    rows: int
    short_lists: int
    empty_lists: int
    share_by_source: dict[str, float]
    fallback_rows: int
    eligible_items: int
    items: int
    top_item_lists: int
    catalogue_coverage: float


class FileFacts(ListFigures, ScoringTerms, FileIdentity):
    """Facts that are equal for every run of the same work.

    They are also in the file's own metadata, so that a lost manifest can be rebuilt.
    """


class ReuseSample(JsonRecord):
    """How reused lists compare with a full run's.

    Attributes:
        users: who are looked at.
        differing: share of them whose items or order differ; overlap: mean share of the same items.
    """

    users: int
    differing: float
    overlap: float


class ReuseDecision(JsonRecord):
    """What `--changed-since` has decided.

    Attributes:
        changed: users who were ranked again.
        all_ranked_because: why no list was reused; None where lists were.
    """

    day: Day = Field(alias="date")
    changed: int | None = None
    sample: ReuseSample | None = None
    all_ranked_because: str | None


class RunFacts(JsonRecord):
    """What differs between two runs of the same work; unset where `verify --repair` rebuilt the manifest.

    Attributes:
        gates: figures of the publish gates, by the settings that bound them.
    """

    run_id: str | None
    started: str | None
    changed_since: ReuseDecision | None = None
    gates: dict[str, int | float] = Field(default_factory=dict)


class PublicationManifest(RunFacts, FileFacts):
    """The manifest of published recommendations."""

    sha256: str
