"""Models that are absent, damaged, forged or of other settings; features that are damaged."""

import functools
import hashlib
import io
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from recsys_cli.cli.app import main
from recsys_cli.models.versions.bundle import read_bundle
from recsys_cli.utils.errors import ExitCode, ModelError
from recsys_cli.utils.storage.json_files import read_sealed_json, write_sealed_json

Refused = Callable[..., str]
Damage = Callable[[Path], object]
DAY = "2026-03-02"
FILES = [
    "lightfm_users_ids.parquet",
    "lightfm_users_vectors.npy",
    "lightfm_users_biases.npy",
    "bm25_ids.parquet",
    "cosine_indices.npy",
    "ease_weights.npy",
    "items_encoder.json",
    "ranker.json",
]


def model(workspace: Path) -> Path:
    (manifest,) = (workspace / "models").glob("*/manifest.json")
    return manifest.parent


def pointing_at(name: object) -> Damage:
    output = {"schema_version": 1, "history": [name], "forced": []}
    return lambda workspace: write_sealed_json(workspace / "models/promoted.json", output)


def removed(name: str) -> Damage:
    return lambda workspace: (model(workspace) / name).unlink()


def written(name: str, text: str) -> Damage:
    return lambda workspace: (model(workspace) / name).write_text(text)


def forged(workspace: Path, name: str, data: bytes) -> None:
    """Put other bytes in the place of a model's file, and let the manifest vouch for them."""
    folder = model(workspace)
    (folder / name).write_bytes(data)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name] = hashlib.sha256(data).hexdigest()
    manifest["version"] = f"{DAY}-forged"
    del manifest["seal"]
    write_sealed_json(folder / "manifest.json", manifest)
    folder.rename(folder.with_name(manifest["version"]))
    pointing_at(manifest["version"])(workspace)
    shutil.rmtree(workspace / "recommendations")  # they name the version that was


class Trap:
    """An object whose unpickling leaves a file behind."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.marker,)


def array_bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def declared(shape: tuple[int, ...], kind: object = "<f4") -> bytes:
    """Return an array file of 16 bytes that says that it has this shape."""
    header = {"descr": kind, "fortran_order": False, "shape": shape}
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue() + bytes(16)


def nested_header() -> bytes:
    text = "-" * 5_000 + "1\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + bytes(16)


def encoder(**values: object) -> bytes:
    """Return the users' encoder with other values, as many as there were."""
    edges = [26.0, 30.0, 32.25, 38.5, 44.875, 49.5, 58.625]
    return json.dumps({"edges": {"age": edges}, "values": {"city": [*"KLOP"]}} | values).encode()


UNUSABLE: dict[str, tuple[Damage, tuple[str, ...]]] = {
    "no models": (lambda workspace: shutil.rmtree(workspace / "models"), ("model", "recsys train")),
    "no such version": (
        lambda workspace: model(workspace).rename(workspace / "models/away"),
        ("there is no model version '2026-03-02-", "choose one of recsys models list: away"),
    ),
    "manifest gone": (removed("manifest.json"), ("there is no model version '2026-03-02-", "recsys train")),
    "manifest no JSON": (written("manifest.json", "{"), ("manifest cannot be read", "manifest.json")),
    "manifest a list": (written("manifest.json", "[]"), ("manifest cannot be read", "manifest.json")),
    "manifest too deep": (
        written("manifest.json", "[" * 99_999),
        ("manifest cannot be read", "recursion limit"),
    ),
}


@pytest.mark.parametrize("command", [("score",), ("explain", "u01")], ids=["score", "explain"])
@pytest.mark.parametrize(("damage", "words"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_model_that_is_not_there_is_reported(
    workspace: Path, refused: Refused, command: tuple[str, ...], damage: Damage, words: tuple[str, ...]
) -> None:
    damage(workspace)
    message = refused(ExitCode.MODEL, *command, "--date", DAY)
    assert all(word in message for word in words), message


@pytest.mark.parametrize("name", ["../x", "..", "/etc", "", "a/b", "a\n", 7, None, {"x": 1}])
def test_a_pointer_that_leads_elsewhere_is_not_followed(
    workspace: Path, refused: Refused, name: object
) -> None:
    shutil.copytree(model(workspace), workspace / "x")
    pointing_at(name)(workspace)
    message = refused(ExitCode.MODEL, "score", "--date", DAY)
    assert "the pointer to the promoted model cannot be read" in message and "promoted.json" in message


@pytest.mark.parametrize("command", ["score", "models list", "models show", "models promote"])
def test_a_pointer_that_was_changed_is_not_believed(workspace: Path, refused: Refused, command: str) -> None:
    more = {"score": ("--date", DAY), "models promote": (model(workspace).name,)}.get(command, ())
    shutil.copytree(model(workspace), workspace / "models/x")
    pointer = workspace / "models/promoted.json"
    pointer.write_text(json.dumps(json.loads(pointer.read_text()) | {"history": ["x"]}))
    message = refused(ExitCode.MODEL, *command.split(), *more)
    assert "the promoted model cannot be read: it was changed after it was written" in message
    assert "fix: remove it and run `recsys models promote VERSION`" in message


@pytest.mark.parametrize("name", ["../x", "nobody", ""])
def test_a_version_that_is_none_is_not_promoted(workspace: Path, refused: Refused, name: str) -> None:
    shutil.copytree(model(workspace), workspace / "x")
    assert f"there is no model version {name!r}" in refused(ExitCode.MODEL, "models", "promote", name)


@pytest.mark.parametrize("command", ["promote", "rollback"])
@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_damaged_model_is_not_promoted(workspace: Path, refused: Refused, command: str, name: str) -> None:
    damaged = model(workspace)
    sound = shutil.copytree(damaged, workspace / "models/sound")
    history = [sound.name] if command == "promote" else [damaged.name, sound.name]
    output = {"schema_version": 1, "history": history, "forced": []}
    write_sealed_json(workspace / "models/promoted.json", output)
    with (damaged / name).open("ab") as file:
        file.write(b" 0")
    version = (damaged.name,) if command == "promote" else ()
    message = refused(ExitCode.MODEL, "models", command, *version)
    assert f"  where: {damaged / name}\n" in message and "recsys models list" in message


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["removed", "a bit flipped", "another byte"])
def test_a_damaged_file_is_named(workspace: Path, refused: Refused, name: str, damage: str) -> None:
    file = model(workspace) / name
    data = bytearray(file.read_bytes())
    if damage == "a bit flipped":
        data[len(data) // 2] ^= 1
    file.write_bytes(data + b"\0" if damage == "another byte" else data)
    if damage == "removed":
        file.unlink()
    message = refused(ExitCode.MODEL, "score", "--date", DAY)
    assert f"missing or differs from its recorded hash\n  where: {file}\n" in message


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
@pytest.mark.parametrize("hidden", [False, True], ids=["bare", "inside an array"])
def test_a_pickle_is_never_loaded(
    workspace: Path, tmp_path: Path, refused: Refused, name: str, hidden: bool
) -> None:
    marker = tmp_path / "marker"
    trap = Trap(marker)
    data = array_bytes(np.array([trap], dtype=object)) if hidden else pickle.dumps(trap)
    pickle.loads(pickle.dumps(trap))
    assert marker.exists()  # the trap works
    marker.unlink()

    if name == "manifest.json":
        (model(workspace) / name).write_bytes(data)
    else:
        forged(workspace, name, data)

    assert str(model(workspace)) in refused(ExitCode.MODEL, "score", "--date", DAY)
    assert not marker.exists()


FORGED: dict[str, tuple[str, bytes]] = {
    "larger than any memory": ("lightfm_users_vectors.npy", declared((10**15, 64))),
    "of a size beyond 64 bits": ("ease_weights.npy", declared((1 << 32, 1 << 32, 1 << 32))),
    "of huge cells": ("lightfm_users_biases.npy", declared((70,), ("<f4", (100_000, 100_000)))),
    "of objects": ("bm25_data.npy", declared((7,), "|O")),
    "of dates": ("bm25_indptr.npy", array_bytes(np.zeros(41, "M8[s]"))),
    "of records": ("cosine_indices.npy", array_bytes(np.zeros(872, [("a", "<i4")]))),
    "of doubles for places": ("cosine_indptr.npy", array_bytes(np.zeros(41))),
    "of numbers back to front": ("bm25_data.npy", array_bytes(np.ones(872, ">f4"))),
    "by columns": ("ease_weights.npy", array_bytes(np.asfortranarray(np.zeros((40, 40), np.float32)))),
    "longer than it says": ("ease_weights.npy", array_bytes(np.zeros((40, 40), np.float32)) + b"#!"),
    "with a header that nests": ("bm25_data.npy", nested_header()),
    "an archive": ("lightfm_users_vectors.npy", b"PK\x03\x04" + bytes(99)),
    "negative": ("lightfm_users_biases.npy", declared((-1,))),
    "of no row": ("lightfm_items_vectors.npy", declared((0, 8))),
    "one number": ("lightfm_items_biases.npy", array_bytes(np.array(1.0, np.float32))),
    "of few rows": ("lightfm_users_vectors.npy", array_bytes(np.zeros((3, 8), np.float32))),
    "text": ("lightfm_users_vectors.npy", array_bytes(np.full((70, 8), "x"))),
    "cut": ("lightfm_users_biases.npy", array_bytes(np.zeros(3, np.float32))[:-5]),
    "no trees": ("ranker.json", b"CBM1" + bytes(64)),
    "nothing": ("ranker.json", b""),
    "trees that are a list": ("ranker.json", b"[]"),
    "trees without leaves": ("ranker.json", b'{"features_info": {}, "oblivious_trees": [{"splits": []}]}'),
    "no ids": ("lightfm_items_ids.parquet", b"PAR1PAR1"),
    "similarities of few items": ("ease_weights.npy", array_bytes(np.zeros((3, 3), np.float32))),
    "similarities that are no square": ("ease_weights.npy", array_bytes(np.zeros((40, 39), np.float32))),
    "similarities of doubles": ("ease_weights.npy", array_bytes(np.zeros((40, 40)))),
    "similarities larger than any memory": ("ease_weights.npy", declared((10**8, 10**8))),
    "similarities that end early": ("bm25_data.npy", array_bytes(np.ones(7, np.float32))),
    "similar items that do not exist": ("cosine_indices.npy", array_bytes(np.full(1600, 99, np.int32))),
    "rows that overlap": ("bm25_indptr.npy", array_bytes(np.arange(40, -1, -1, dtype=np.int32))),
    "no ids of similarities": ("ease_ids.parquet", b"PAR1PAR1"),
    "an encoder that is a list": ("users_encoder.json", b"[]"),
    "an encoder with a value twice": ("users_encoder.json", encoder(values={"city": [*"KKOP"]})),
    "an encoder with numbers for texts": ("users_encoder.json", encoder(values={"city": [1, 2, 3, 4]})),
    "an encoder with half a character": (
        "users_encoder.json",
        encoder(values={"city": [*"KLO", "\ud800"]}),
    ),
    "an encoder with edges that are none": ("users_encoder.json", encoder(edges={"age": [float("nan")] * 7})),
    "an encoder with edges out of order": ("users_encoder.json", encoder(edges={"age": [*range(7, 0, -1)]})),
    "an encoder without values": ("users_encoder.json", b'{"edges": {}}'),
}


@pytest.mark.parametrize(("name", "data"), FORGED.values(), ids=FORGED)
def test_a_forged_file_is_refused(workspace: Path, refused: Refused, name: str, data: bytes) -> None:
    forged(workspace, name, data)
    assert str(model(workspace)) in refused(ExitCode.MODEL, "score", "--date", DAY)


def without(tree: dict[str, Any]) -> None:
    tree["leaf_values"].pop()


def infinite(tree: dict[str, Any]) -> None:
    tree["leaf_values"][0] = float("nan")


def of_no_column(tree: dict[str, Any]) -> None:
    tree["splits"][0] = {"split_type": "FloatFeature", "float_feature_index": 999, "border": 0.5}


def too_deep(tree: dict[str, Any]) -> None:
    tree["splits"] *= 20


def of_the_last_column(tree: dict[str, Any]) -> None:
    tree["splits"][0] |= {"split_type": "FloatFeature", "float_feature_index": -1, "border": 0.5}


def at_no_border(tree: dict[str, Any]) -> None:
    tree["splits"][0]["border"] = 10**400


def weightless(tree: dict[str, Any]) -> None:
    tree["leaf_weights"] = []


def of_negative_weight(tree: dict[str, Any]) -> None:
    tree["leaf_weights"][0] = -1.0


def too_heavy_for_sums(tree: dict[str, Any]) -> None:
    tree["leaf_weights"] = [1e308] * len(tree["leaf_weights"])


HARMS = [without, infinite, of_no_column, of_the_last_column, at_no_border, too_deep]


@pytest.mark.parametrize("harm", [*HARMS, weightless, of_negative_weight, too_heavy_for_sums])
def test_trees_that_lead_nowhere_are_refused(
    workspace: Path, refused: Refused, harm: Callable[[dict[str, Any]], None]
) -> None:
    trees = json.loads((model(workspace) / "ranker.json").read_text())
    harm(next(tree for tree in trees["oblivious_trees"] if tree["splits"]))
    forged(workspace, "ranker.json", json.dumps(trees).encode())
    assert str(model(workspace)) in refused(ExitCode.MODEL, "score", "--date", DAY)


def bias_of_none(trees: dict[str, Any]) -> None:
    trees["scale_and_bias"] = [1, [float("nan")]]


def borders_out_of_order(trees: dict[str, Any]) -> None:
    next(one for one in trees["features_info"]["float_features"] if one["borders"])["borders"].insert(0, 1e30)


def places_taken_twice(trees: dict[str, Any]) -> None:
    for feature in trees["features_info"]["float_features"]:
        feature["flat_feature_index"] = 2**31 - 1


def another_part(trees: dict[str, Any]) -> None:
    trees["ctr_data"] = {}


def nan_above_all_borders(trees: dict[str, Any]) -> None:
    trees["features_info"]["float_features"][0]["nan_value_treatment"] = "AsTrue"


STRANGE = [bias_of_none, borders_out_of_order, places_taken_twice, another_part, nan_above_all_borders]


@pytest.mark.parametrize("harm", STRANGE)
@pytest.mark.parametrize("command", [("score",), ("explain", "u00")], ids=["score", "explain"])
def test_no_strange_trees_reach_catboost(
    workspace: Path, refused: Refused, harm: Callable[[dict[str, Any]], None], command: tuple[str, ...]
) -> None:
    trees = json.loads((model(workspace) / "ranker.json").read_text())
    harm(trees)
    forged(workspace, "ranker.json", json.dumps(trees).encode())
    assert str(model(workspace)) in refused(ExitCode.MODEL, *command, "--date", DAY)


def test_two_features_of_one_name_are_refused(workspace: Path, refused: Refused) -> None:
    trees = json.loads((model(workspace) / "ranker.json").read_text())
    one, other, *_ = trees["features_info"]["float_features"]
    one["feature_id"] = other["feature_id"]
    forged(workspace, "ranker.json", json.dumps(trees).encode())
    assert "two features of the trees have the same name" in refused(ExitCode.MODEL, "score", "--date", DAY)


def test_ids_with_a_hole_that_the_manifest_vouches_for_are_refused_or_sound(workspace: Path) -> None:
    """At some places such a hole lets polars panic, which is no Exception."""
    folder = model(workspace)
    manifest, sound = read_sealed_json(folder / "manifest.json"), (folder / "ease_ids.parquet").read_bytes()
    refusals = 0
    for place in range(0, len(sound) - 8, 16):
        holed = sound[:place] + bytes(16) + sound[place + 16 :]
        (folder / "ease_ids.parquet").write_bytes(holed)
        manifest["files"]["ease_ids.parquet"] = hashlib.sha256(holed).hexdigest()
        write_sealed_json(folder / "manifest.json", manifest)
        try:
            read_bundle(folder)
        except ModelError:
            refusals += 1
    assert refusals > len(sound) // 32


IDS: dict[str, tuple[str, Callable[[pl.Series], pl.Series]]] = {
    "missing": ("ease_ids.parquet", lambda ids: pl.Series("id", [None, *ids[1:]], dtype=ids.dtype)),
    "twice": ("bm25_ids.parquet", lambda ids: ids.replace(ids[1], ids[0])),
    "of another type": ("lightfm_items_ids.parquet", lambda ids: ids.cast(pl.Int32)),
    "lists": ("lightfm_users_ids.parquet", lambda ids: ids.reshape((-1, 1)).arr.to_list()),
    "too many": ("cosine_ids.parquet", lambda ids: ids[0:1].extend_constant(1, 1_000_000)),
}


@pytest.mark.parametrize(("name", "change"), IDS.values(), ids=IDS)
def test_forged_ids_are_refused(
    workspace: Path, refused: Refused, name: str, change: Callable[[pl.Series], pl.Series]
) -> None:
    buffer = io.BytesIO()
    change(pl.read_parquet(model(workspace) / name)["id"]).rename("id").to_frame().write_parquet(buffer)
    forged(workspace, name, buffer.getvalue())
    assert f"  where: {model(workspace) / name}\n" in refused(ExitCode.MODEL, "score", "--date", DAY)


@pytest.mark.parametrize("name", [*FILES, "manifest.json", ""])
@pytest.mark.parametrize("command", ["score", "explain", "models promote"])
def test_a_link_in_the_place_of_a_model_is_not_followed(
    workspace: Path, tmp_path: Path, refused: Refused, name: str, command: str
) -> None:
    link = model(workspace) / name
    link.rename(tmp_path / "elsewhere")
    link.symlink_to(tmp_path / "elsewhere")
    version = [(link.parent if name else link).name]
    options = version if command == "models promote" else ["--date", DAY]
    message = refused(ExitCode.MODEL, *command.split(), *options)
    assert "this is a symlink" in message and f"  where: {link}\n" in message


def test_all_models_may_lie_behind_a_link(workspace: Path, tmp_path: Path) -> None:
    (workspace / "models").rename(tmp_path / "elsewhere")
    (workspace / "models").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "link").symlink_to(workspace)
    for command in ("score --force", "explain u01"):
        assert main(["-q", "-C", str(tmp_path / "link"), *command.split(), "--date", DAY]) == ExitCode.OK


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "a/b", "a\n", "x" * 65, ""])
def test_sources_named_after_other_places_are_refused(workspace: Path, refused: Refused, name: str) -> None:
    file = model(workspace) / "manifest.json"
    manifest = json.loads(file.read_text())
    del manifest["seal"]
    manifest["stage"]["fits"] = {name: ["ids.parquet", "weights.npy"]}
    kept = ("lightfm", "users", "items", "ranker")
    own = {one: hashed for one, hashed in manifest["files"].items() if one.startswith(kept)}
    manifest["files"] = own | {f"{name}_{part}": "" for part in ("ids.parquet", "weights.npy")}
    write_sealed_json(file, manifest)
    message = refused(ExitCode.MODEL, "score", "--date", DAY)
    assert "stage.fits." in message and str(file) in message


@pytest.mark.parametrize("command", ["score", "explain", "models show", "models promote"])
@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("exam", None),
        ("exam.models", {"a": {}}),
        ("exam.against_popularity", []),
        ("label_windows", [{}]),
        ("seconds", "x"),
        ("stage.newest_event", "today"),
        ("stage.id_types", ["Object", "Object"]),
        ("ranker.calibration.slope", -1.0),
        ("settings.timezone", "../x"),
        ("settings.ranker", None),
        ("version", "../x"),
    ],
)
def test_a_manifest_that_holds_something_else_is_refused(
    workspace: Path, refused: Refused, command: str, part: str, value: object
) -> None:
    file = model(workspace) / "manifest.json"
    manifest = json.loads(file.read_text())
    del manifest["seal"]
    *way, last = part.split(".")
    functools.reduce(dict.__getitem__, way, manifest)[last] = value
    write_sealed_json(file, manifest)
    words = {"models promote": (file.parent.name,), "score": ("--date", DAY), "explain": ("--date", DAY)}
    message = refused(ExitCode.MODEL, *command.split(), *words.get(command, ()))
    assert f"manifest cannot be read: {part}" in message and f"  where: {file}\n" in message


def test_vectors_of_other_lengths_are_refused(workspace: Path, refused: Refused) -> None:
    vectors = np.load(model(workspace) / "lightfm_items_vectors.npy")
    forged(workspace, "lightfm_items_vectors.npy", array_bytes(vectors[:, :-1]))
    assert "differ in length" in refused(ExitCode.MODEL, "score", "--date", DAY)


def test_trees_that_ask_for_a_strangers_column_are_refused(workspace: Path, refused: Refused) -> None:
    trees = json.loads((model(workspace) / "ranker.json").read_text())
    asked = next(split for tree in trees["oblivious_trees"] for split in tree["splits"] or [])
    column = trees["features_info"]["float_features"][asked["float_feature_index"]]
    column["feature_id"] = "item_of_nobody"
    forged(workspace, "ranker.json", json.dumps(trees).encode())
    message = refused(ExitCode.MODEL, "score", "--date", DAY)
    assert "the trees ask for columns that the ranker does not name" in message


TOKYO = "timezone=Asia/Tokyo"  # its days begin nine hours before those of UTC
PASTS = [
    (
        f"--date {DAY} --set {TOKYO}",
        "events up to 2026-03-02 in UTC: it has already seen 2026-03-02 in Asia/Tokyo",
    ),
    ("--date 2026-03-01", "events up to 2026-03-02: it has already seen 2026-03-01 and must not score it"),
]
MISFITS = [
    (
        f"--date {DAY} --set scoring.filter_viewed=false",
        "filter_viewed: trained with True; now False; labels, sources and features differ",
    ),
    (f'--date {DAY} --set data.users.features=["age"]', "features of users: trained with age, city; now age"),
    (
        f'--date {DAY} --set data.items.features=["price","genre","title_length"]',
        "feature column 'title_length' is missing",
    ),
    (f"--date {DAY} --set data.item_id_type=text", "item_id: trained with Int64; now String"),
    (
        f"--date {DAY} --set features.windows_days=[14] --set candidates.popular.windows_days=[14]",
        "the columns item_events_30d, item_events_7d,",
    ),
]


@pytest.mark.parametrize("command", [("score",), ("explain", "u01")], ids=["score", "explain"])
@pytest.mark.parametrize(("options", "words"), PASTS)
def test_a_model_that_has_seen_the_day_is_refused(
    refused: Refused, command: tuple[str, ...], options: str, words: str
) -> None:
    assert words in refused(ExitCode.MODEL, *command, *options.split())


@pytest.mark.parametrize("command", [("score",), ("explain", "u01")], ids=["score", "explain"])
@pytest.mark.parametrize(("options", "words"), MISFITS)
def test_a_model_that_does_not_fit_is_refused_with_the_difference(
    workspace: Path, refused: Refused, command: tuple[str, ...], options: str, words: str
) -> None:
    if command[0] == "explain":  # of a published run it asks for no setting of now
        shutil.rmtree(workspace / f"recommendations/date={DAY}")
    code = ExitCode.INPUT if "is missing" in words else ExitCode.MODEL
    assert words in refused(code, *command, *options.split())


def test_a_model_serves_the_days_that_begin_after_its_training(workspace: Path) -> None:
    for day, zone in (("2026-03-03", "Asia/Tokyo"), (DAY, "America/Lima")):
        assert main(["-q", "-C", str(workspace), "--set", f"timezone={zone}", "score", "--date", day]) == 0


@pytest.mark.parametrize("key", ["timezone", "trained_through", "events"])
def test_a_manifest_cannot_be_changed_unnoticed(workspace: Path, refused: Refused, key: str) -> None:
    file = model(workspace) / "manifest.json"
    manifest = json.loads(file.read_text())
    (manifest["settings"] if key == "timezone" else manifest)[key] = {
        "timezone": "Asia/Tokyo",
        "trained_through": "2026-02-27",
        "events": 1,
    }[key]
    file.write_text(json.dumps(manifest))
    message = refused(ExitCode.MODEL, "score", "--date", DAY, "--set", TOKYO)
    assert f"manifest cannot be read: it was changed after it was written\n  where: {file}\n" in message


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def spoilt(name: str, change: Callable[[bytes], bytes]) -> Damage:
    def damage(workspace: Path) -> None:
        file = workspace / f"features/date={DAY}" / name
        file.write_bytes(change(file.read_bytes()))

    return damage


FEATURES: dict[str, Damage] = {
    "gone": lambda workspace: (workspace / f"features/date={DAY}/users.parquet").unlink(),
    "cut": spoilt("pairs.parquet", cut),
    "empty": spoilt("items.parquet", lambda _: b""),
    "another table": spoilt("affinity.parquet", lambda data: data + b"\0"),
    "manifest cut": spoilt("manifest.json", cut),
    "manifest a list": spoilt("manifest.json", lambda _: b"[]"),
    "manifest with another age": spoilt(
        "manifest.json", lambda data: data.replace(b'newest_event_age_days": 0', b'newest_event_age_days": 9')
    ),
    "manifest with other columns": spoilt("manifest.json", lambda data: data.replace(b'"city"', b'"cite"')),
    "manifest without tables": spoilt("manifest.json", lambda data: data.replace(b"parquet", b"orc")),
}


@pytest.mark.parametrize("command", [("score",), ("explain", "u01"), ("features",)], ids=lambda one: one[0])
@pytest.mark.parametrize("damage", FEATURES.values(), ids=FEATURES)
def test_damaged_features_are_built_again(
    workspace: Path, contents: Callable[[], dict[str, bytes]], damage: Damage, command: tuple[str, ...]
) -> None:
    before = contents()
    damage(workspace)
    assert contents() != before
    assert main(["-q", "-C", str(workspace), *command, "--date", DAY]) == ExitCode.OK
    assert contents() == before
