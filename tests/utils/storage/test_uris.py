"""URIs: copies never lead out of their folder, and nothing that is shown holds a secret."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recsys_cli.utils.errors import SettingsError
from recsys_cli.utils.storage.uris import (
    COPIES,
    bucket_and_key,
    copy_of,
    drive_id,
    is_uri,
    shown,
    web_folder_of,
)

ROOT = Path("/workspace")


@given(st.text(alphabet="ab./*?[]% é\\", max_size=30))
@example("bucket/../../etc/passwd")
@example("../bucket/key")
def test_a_copy_lies_in_its_folder_or_is_refused(path: str) -> None:
    try:
        copy = copy_of(f"s3://{path}", ROOT)
    except SettingsError:
        return
    inside = copy.relative_to(ROOT / COPIES / "s3")
    assert ".." not in inside.parts and inside.parts
    bucket, key = bucket_and_key(f"s3://{path}")
    assert copy_of(bucket, ROOT) / key == copy


@given(st.from_regex(r"[A-Za-z0-9]{8,20}", fullmatch=True))
def test_neither_password_nor_signature_is_shown_or_names_a_folder(secret: str) -> None:
    for uri in (
        f"https://user:{secret}@shop.example/x.parquet?sig={secret}",
        f"https://shop.example/x?{secret}#{secret}",
    ):
        assert secret not in shown(uri)
        assert secret not in str(web_folder_of(uri, ROOT))


@pytest.mark.parametrize(
    "link",
    [
        "https://drive.google.com/file/d/1AbC_d-EfGhIjKlMnOp/view?usp=sharing",
        "https://drive.google.com/file/d/1AbC_d-EfGhIjKlMnOp",
        "https://drive.google.com/open?id=1AbC_d-EfGhIjKlMnOp",
        "https://drive.google.com/uc?export=download&id=1AbC_d-EfGhIjKlMnOp",
    ],
)
def test_every_form_of_a_drive_link_means_its_file(link: str) -> None:
    assert drive_id(link) == "1AbC_d-EfGhIjKlMnOp"
    assert web_folder_of(link, ROOT) == ROOT / COPIES / "drive/1AbC_d-EfGhIjKlMnOp"


def test_paths_of_this_machine_are_no_uris() -> None:
    assert not any(map(is_uri, ("data/x.parquet", "/data/x", "C:/x", "a:b", "date={date}/*.parquet")))
    assert drive_id("https://example.com/file/d/1AbC_d-EfGhIjKlMnOp/view") is None
