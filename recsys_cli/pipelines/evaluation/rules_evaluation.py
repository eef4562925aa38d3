"""`evaluate --rules` and `--diversity`: what rules and variety do to lists, by what users did next."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from recsys_cli.configs.rule_sections import Rule
from recsys_cli.configs.sections import Settings
from recsys_cli.data_preparation.tables.campaigns import CampaignIds
from recsys_cli.models.evaluation.daily_evaluation import EvaluationOptions
from recsys_cli.models.evaluation.list_variants import ListVariant, VariantResult, evaluate_variants
from recsys_cli.models.postprocessing.day_lists import UserLists, open_lists
from recsys_cli.models.postprocessing.list_settings import ListInputs, ListRequest, ListSettings
from recsys_cli.models.postprocessing.rule_tables import bits_of
from recsys_cli.pipelines.evaluation.trained_holdout import TrainedHoldout, evaluation_options
from recsys_cli.pipelines.publication.list_request import read_rule_campaigns
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.pipelines.workspace.run_record import Run
from recsys_cli.pipelines.workspace.scoring_day import ScoringDay
from recsys_cli.utils.columns import ITEM_ID, USER_ID
from recsys_cli.utils.errors import UsageError

ALL_RULES, NO_RULE = "all rules", "no rule"
_NOT_EVALUATED = {
    "cooldown": "an evaluation has no published lists that a cooldown could count",
    "quota": "a quota is kept over the lists of all users, an evaluation makes those of some",
}


@dataclass(frozen=True)
class ListQuestions:
    """What is asked of the lists beside the comparison of sources.

    Attributes:
        rules: evaluate the lists without each rule; diversity: values of `scoring.diversity`.
    """

    rules: bool = False
    diversity: Sequence[float] = ()


@dataclass(frozen=True)
class ListResults:
    """How the lists of a day did, in each way that was asked for.

    Attributes:
        settings: what the settings ask of the lists.
        notes: by rule, why it counts as one without effect on the day.
        rules: by what is off: `ALL_RULES`, `NO_RULE`, `without` a rule; empty: not asked for.
        diversity: by the value as text; empty: not asked for.
    """

    settings: ListSettings
    notes: Mapping[str, str] = field(default_factory=dict)
    rules: Mapping[str, VariantResult] = field(default_factory=dict)
    diversity: Mapping[str, VariantResult] = field(default_factory=dict)


def check_questions(asked: ListQuestions, settings: Settings) -> None:
    """Refuse to evaluate rules where there are none. Raises: UsageError."""
    if asked.rules and not settings.rules:
        raise UsageError(
            "there are no rules to evaluate",
            where="--rules",
            fix="write [[default.rules]] into settings/rules.toml, as `recsys guide rules` shows",
        )


def evaluate_lists(
    trained: TrainedHoldout, asked: ListQuestions, workspace: Workspace, run: Run
) -> ListResults:
    """Choose lists in each way that is asked for, by the function that `score` uses, and measure them.

    Raises: SettingsError for rules that do not fit the tables, or a similarity that the model has not learnt;
        InputError for a campaign that cannot be read.
    """
    settings = ListSettings.of(workspace.settings, trained.k)
    notes = _notes(settings.rules, trained.features.day) if asked.rules else {}
    results = ListResults(settings, notes)
    if asked.rules:
        with run.stages.stage("lists by rule") as progress:
            variants = list(_by_rule(settings, notes, _bound(settings, trained, workspace)))
            found = _evaluated(variants, trained, evaluation_options(trained, workspace, progress))
            results = replace(results, rules=found)
    if asked.diversity:
        with run.stages.stage("lists by diversity") as progress:
            most = _bound(replace(settings, diversity=max(asked.diversity)), trained, workspace)
            variants = [_of_diversity(value, settings, most) for value in asked.diversity]
            found = _evaluated(variants, trained, evaluation_options(trained, workspace, progress))
            results = replace(results, diversity=found)
    return results


def without(rule: str) -> str:
    """Return the name of the lists without a rule."""
    return f"without {rule}"


def _notes(rules: Sequence[Rule], day: date) -> dict[str, str]:
    """Return, by rule, why it counts as one without effect on the day."""
    notes = {rule.name: _NOT_EVALUATED[rule.action] for rule in rules if rule.action in _NOT_EVALUATED}
    return notes | {rule.name: f"it does not hold on {day}" for rule in rules if not rule.holds_on(day)}


def _bound(settings: ListSettings, trained: TrainedHoldout, workspace: Workspace) -> UserLists | None:
    """Bind what is asked of lists to the day's items and the users of the ground truth; None: nothing is."""
    tables, features = trained.tables, trained.features
    ids = CampaignIds(tables.users[USER_ID], tables.items[ITEM_ID])
    campaigns = read_rule_campaigns(ScoringDay(workspace, features.day), ids)
    asked = ListRequest(settings, ListInputs(len(features.users), campaigns))
    lists = open_lists(asked, trained.model.stage, features)
    return None if lists is None else lists.of_users(features)


def _by_rule(
    settings: ListSettings, notes: Mapping[str, str], bound: UserLists | None
) -> Iterator[ListVariant]:
    """Yield the lists with all rules, with none, and without each rule that has an effect."""
    assert bound is not None
    numbers = range(len(settings.rules))
    yield ListVariant(ALL_RULES, bound, bound)
    none = replace(bound, off=bits_of(list(numbers))) if replace(settings, rules=()).is_on else None
    yield ListVariant(NO_RULE, none, none)
    for number in numbers:
        name, bit = settings.rules[number].name, bits_of([number])
        others = (*settings.rules[:number], *settings.rules[number + 1 :])
        lists = replace(bound, off=bit) if replace(settings, rules=others).is_on else None
        is_same = lists is not None and not bound.tables.of_candidates & bit
        if name not in notes:
            yield ListVariant(without(name), lists, bound if is_same else lists)


def _of_diversity(value: float, settings: ListSettings, most: UserLists | None) -> ListVariant:
    """Return the lists with a value of the diversity.

    Args:
        most: bound with the largest value.
    """
    settings = replace(settings, diversity=value)
    if most is None or not settings.is_on:
        return ListVariant(str(value), None, None)
    similarity = most.day.similarity if value else None
    day = replace(most.day, request=replace(most.day.request, settings=settings), similarity=similarity)
    return ListVariant(str(value), replace(most, day=day), most)


def _evaluated(
    variants: Sequence[ListVariant], trained: TrainedHoldout, options: EvaluationOptions
) -> dict[str, VariantResult]:
    model, relevant = trained.model, trained.ground_truth
    return evaluate_variants(variants, trained.day, trained.features, model.ranker, relevant, options)
