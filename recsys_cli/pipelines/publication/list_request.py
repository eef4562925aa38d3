"""What is asked of a day's lists behind the ranker, read from the workspace: rules and what they look at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from recsys_cli.configs.rule_sections import Rule
from recsys_cli.data_preparation.tables.campaigns import (
    CampaignIds,
    Campaigns,
    campaigns_key,
    inspect_campaigns,
)
from recsys_cli.data_preparation.tables.problems import Problem, raise_or_warn
from recsys_cli.models.postprocessing.list_settings import ListInputs, ListRequest, ListSettings
from recsys_cli.models.postprocessing.rule_actions import rule_place
from recsys_cli.pipelines.publication.list_columns import ListColumns
from recsys_cli.pipelines.publication.shown_items import CountedItems, ShownLists
from recsys_cli.pipelines.publication.shown_rows import Cooldown
from recsys_cli.pipelines.workspace.feature_store import Partition
from recsys_cli.pipelines.workspace.scoring_day import ScoringDay
from recsys_cli.utils.columns import ITEM_ID, PROPENSITY
from recsys_cli.utils.storage.hashing import sha256_of_json


@dataclass(frozen=True)
class DayRequest:
    """What is asked of a day's lists.

    Attributes:
        asked: None: lists are the first candidates of the ranker.
        key: a hash of all that decides it; rules_key: of the rules and campaigns alone, whatever users there
            are and lists were shown; both empty where nothing is asked.
        columns: that the file has beside the usual ones.
        shown: published lists that cooldowns look at: their SHA-256 by date.
    """

    asked: ListRequest | None = None
    key: str = ""
    rules_key: str = ""
    columns: ListColumns = ListColumns()
    shown: Mapping[str, str] = field(default_factory=dict)

    def check_unchanged(self) -> None:
        """Check that the published lists that cooldowns look at are still those that were opened.

        Raises: InputError.
        """
        resting = None if self.asked is None else self.asked.inputs.resting
        if isinstance(resting, CountedItems):
            resting.shown.check_unchanged()

    @property
    def differs_daily(self) -> str:
        """Why a user's list is another one every day, whatever the user did; empty where it is not."""
        if self.asked is None:
            return ""
        settings = self.asked.settings
        actions = {rule.action for rule in settings.rules} & {"cooldown", "quota"}
        reasons = [f"a rule has a {action}" for action in sorted(actions)]
        reasons += ["scoring.explore draws anew each day"] if settings.explore else []
        return " and ".join(reasons)


def read_day_request(day: ScoringDay, partition: Partition, top_k: int, users: int) -> DayRequest:
    """Return what the settings ask of the day's lists, with the campaigns and lists that rules look at.

    Args:
        users: that lists are made for.

    Raises: InputError for a campaign that cannot be read.
    """
    workspace = day.workspace
    settings = ListSettings.of(workspace.settings, top_k)
    if not settings.is_on:
        return DayRequest()
    features = partition.features
    campaigns = read_rule_campaigns(day, CampaignIds(features.user_ids, features.items[ITEM_ID]))
    shown = ShownLists.read(day, _cooldowns(settings))
    resting = CountedItems(shown, features) if shown.lists else None
    names = settings.columns + ((PROPENSITY,) if settings.explore else ())
    held = [rule.holds_on(day.date) for rule in settings.rules]
    paths = list(_campaigns_of(settings.rules))
    rules_key = sha256_of_json([settings.key, held, campaigns_key(paths, workspace.inputs)])
    return DayRequest(
        ListRequest(settings, ListInputs(users, campaigns, resting)),
        sha256_of_json([rules_key, users, shown.key]),
        rules_key,
        ListColumns(names, tuple(rule.name for rule in settings.rules)),
        {str(date): sha256 for date, sha256 in shown.facts.lists.items()},
    )


def read_rule_campaigns(day: ScoringDay, ids: CampaignIds) -> Campaigns:
    """Return the campaigns that rules pin, by path.

    Raises: InputError for one that cannot be read.
    """
    campaigns, problems = inspect_rule_campaigns(day, ids)
    raise_or_warn(problems)
    return campaigns


def inspect_rule_campaigns(day: ScoringDay, ids: CampaignIds) -> tuple[Campaigns, list[Problem]]:
    """Return the campaigns that rules pin, by path, and what is wrong with them, each with its first rule.

    One with an error is left out.
    """
    workspace = day.workspace
    found, problems = Campaigns(), list[Problem]()
    for path, where in _campaigns_of(workspace.settings.rules).items():
        campaign, wrong = inspect_campaigns(
            [path], workspace.inputs, day.date, workspace.settings.timezone, ids
        )
        found |= campaign
        problems += [replace(one, where=where, what=f"campaign {one.where}: {one.what}") for one in wrong]
    return found, problems


def _campaigns_of(rules: Sequence[Rule]) -> dict[str, str]:
    """Return the paths of campaigns, with the place of the first rule that has each."""
    found: dict[str, str] = {}
    for number, rule in enumerate(rules):
        if rule.pin is not None and rule.pin.campaign:
            found.setdefault(rule.pin.campaign, rule_place(number, rule, "pin"))
    return found


def _cooldowns(settings: ListSettings) -> list[Cooldown]:
    return [
        Cooldown(number, rule.cooldown.times, rule.cooldown.days)
        for number, rule in enumerate(settings.rules)
        if rule.cooldown is not None
    ]
