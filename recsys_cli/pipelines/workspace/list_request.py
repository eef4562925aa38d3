"""What is asked of a day's lists behind the ranker, read from the workspace: rules and what they look at."""

from dataclasses import dataclass, field

from recsys_cli.models.postprocessing.list_settings import ListInputs, ListRequest, ListSettings
from recsys_cli.pipelines.publication.list_columns import ListColumns
from recsys_cli.pipelines.workspace.feature_store import Partition
from recsys_cli.pipelines.workspace.scoring_day import ScoringDay
from recsys_cli.utils.columns import PROPENSITY
from recsys_cli.utils.storage.hashing import sha256_of_json
