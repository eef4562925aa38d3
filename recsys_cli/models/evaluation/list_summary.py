"""How lists did by rule and by diversity, as reports and run records keep it."""

from recsys_cli.models.evaluation.evaluation_summary import Comparison, Measures
from recsys_cli.utils.json_record import Count, JsonRecord, Share, Word


class FewerRules(JsonRecord):
    """The lists without a rule, or without any.

    Attributes:
        differences: from the lists with all rules; above 0: the measure is larger without.
        ndcg: the difference of NDCG over the warm users, with its interval.
    """

    measures: Measures
    differences: Measures
    ndcg: Comparison


class WithoutRule(FewerRules):
    """The lists without one rule, all others on.

    Attributes:
        note: why the rule counts as one without effect; None: it does not.
    """

    rule: Word
    action: Word
    note: Word | None


class RulesSummary(JsonRecord):
    """The lists of the same users with all rules, without any, and without each of them."""

    all_rules: Measures
    no_rule: FewerRules
    without: list[WithoutRule]


class DiversityPoint(JsonRecord):
    """The lists with one value of `scoring.diversity`."""

    diversity: Share
    measures: Measures


class DiversityCurve(JsonRecord):
    """The lists of the same users by `scoring.diversity`, in its order.

    Attributes:
        by: what makes two items alike, `scoring.diversity_by`.
        days: length of the window that they were evaluated on.
    """

    k: Count
    days: Count
    by: Word
    points: list[DiversityPoint]
