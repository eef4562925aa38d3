"""The package uses the field's words: none of the words that it once had for them is left.

Read are the names of files and folders, every identifier, and every text: docstrings and messages.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "recsys_cli"
INVENTED = PACKAGE / "data_preparation/demo_data/titles.py"  # words of films, a judge among them
FILES = sorted(set(PACKAGE.rglob("*.py")) - {INVENTED})

# the word as a part of a name between underscores or capitals → what it is called instead
NAMES = {
    r"carr(y|ying|ied)": "incremental scoring, reused lists",
    r"plac(ement|ed(?!_by))": "node files, materialise",
    r"unfinished": "checkpoint",
    r"judg(e|es|ed|ing|ement|ements)": "validate, evaluate, schema",
    r"far_times?": "timestamp range",
    r"loops?": "kernels",
    r"tell|told|tells": "message, summary, error, record",
    r"own_items": "own_item_auc",
    r"(?<!ground_)truths?": "ground truth",
    r"exams?|sit": "holdout, evaluate",
    r"verdicts?": "evaluation result",
    r"leaving_out": "ablation",
    r"serv(e|es|ing)": "promoted model, score",
    r"keeping|not_kept": "fit cache",
    r"(work)?shop": "TrainingContext",
    r"rehearse[ds]?|rehearsal": "train_until_holdout",
    r"raise_alarm": "check_leakage",
    r"misfits?": "schema mismatches",
    r"place_of": "one name for each meaning",
    r"parts?": "ranked batches",
}
# in docstrings and messages ordinary English stays: "keep a column", "parts of a date", "a retail shop"
TEXTS = {
    r"carried lists|carry lists|carries over": "reused lists",
    r"\bunfinished\b": "checkpoint, incomplete",
    r"\bjudg(e|es|ed|ing|ement)\b": "evaluate, validate",
    r"\b(tells?|told|telling)\b": "report, return, message",
    r"(?<!ground )\btruth\b": "ground truth",
    r"\bexams?\b|\bsit(s|ting)? (an|the) ": "holdout",
    r"\bverdicts?\b": "evaluation result",
    r"\bleaving[ _]out\b": "ablation",
    r"\bto serve\b|\bserves\b|\bready to serve\b|\bserving\b": "score, promoted model",
    r"\bwhat is kept of\b|\bkept fits?\b|\bnot kept\b": "cached",
    r"\bworkshop\b": "TrainingContext",
    r"\brehears": "train until the holdout",
    r"\balarm\b": "leakage check",
    r"\bmisfits?\b": "schema mismatches",
    r"\bto go on behind\b|\bgo(es)? on behind\b": "to resume after",
    r"\bsources?'s? words?\b": "score",
    r"\bcompiled loops?\b": "kernels",
}
# texts, never names: keys of files and of --json, which earlier versions wrote and scripts read
KEYS = {
    "exam": "key of model manifests: the holdout of a training",
    "exam.models: figures are missing": "an error that names that key",
    "unfinished": "key of `recsys report --json`: the runs that published nothing",
}


def words_of(identifier: str) -> str:
    """Return an identifier in lower case, with underscores between all its words."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", identifier).lower().strip("_")


def offences(text: str, words: dict[str, str], *, in_name: bool) -> Iterator[str]:
    for word, instead in words.items():
        pattern = rf"(?:^|_)(?:{word})(?:_|$)" if in_name else word
        found = re.search(pattern, text, 0 if in_name else re.IGNORECASE)
        if found is not None:
            yield f"{found[0].strip('_')!r} in {text[:90]!r}: {instead}"


def names_in(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the names that the code itself gives: not the attributes of others that it reads."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr
        elif isinstance(node, ast.alias) and node.asname:
            yield node.lineno, node.asname


def texts_in(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


@pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(PACKAGE)) for file in FILES])
def test_the_words_of_a_file_are_the_fields(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    inside = file.relative_to(PACKAGE).with_suffix("").parts
    wrong = [one for name in inside for one in offences(words_of(name), NAMES, in_name=True)]
    for line, name in names_in(tree):
        wrong += [f"{line}: {one}" for one in offences(words_of(name), NAMES, in_name=True)]
    for line, text in texts_in(tree):
        if text not in KEYS:
            wrong += [f"{line}: {one}" for one in offences(text, TEXTS, in_name=False)]
    assert not wrong, "\n".join(wrong)


def test_each_exception_is_a_key_that_the_package_has() -> None:
    trees = (ast.parse(file.read_text(encoding="utf-8")) for file in FILES)
    texts = {text for tree in trees for _, text in texts_in(tree)}
    for key in KEYS:
        assert key in texts and list(offences(key, TEXTS, in_name=False)), key


def test_each_package_says_in_one_sentence_what_lies_there() -> None:
    for file in PACKAGE.rglob("__init__.py"):
        sentence = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        assert sentence.endswith(".") and "\n" not in sentence, file


@pytest.mark.parametrize(
    "text",
    [
        "columns to keep",
        "parts of a date",
        "an online shop's purchases",
        "values that are kept of a text feature",
        "it plays no part",
        "the loop over users",
    ],
)
def test_ordinary_english_is_no_offence(text: str) -> None:
    assert not list(offences(text, TEXTS, in_name=False))


@pytest.mark.parametrize(
    "name",
    [
        "Carried",
        "told",
        "_told",
        "sit_exam",
        "judge_day",
        "truth_of",
        "merge_loops",
        "RankedParts",
        "place_of",
    ],
)
def test_the_old_words_are_found(name: str) -> None:
    assert list(offences(words_of(name), NAMES, in_name=True))


@pytest.mark.parametrize("name", ["ground_truth", "partition", "replace", "server", "visit", "kept_columns"])
def test_names_that_contain_them_by_chance_are_not(name: str) -> None:
    assert not list(offences(words_of(name), NAMES, in_name=True))
