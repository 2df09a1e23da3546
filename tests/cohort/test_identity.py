from __future__ import annotations

import datetime
import stat

import pytest

from liverjax.cohort import identity
from liverjax.errors import InputError

SALT = bytes(range(32))


def test_a_key_is_the_start_of_an_hmac_in_base32():
    # As openssl dgst -sha256 -mac HMAC and base32 give it.
    assert identity.subject_key("0012345", salt=SALT) == "sifwik2ils27l"


def test_a_key_depends_on_salt_and_id_and_not_on_outer_blanks():
    key = identity.subject_key("0012345", salt=SALT)
    assert identity.subject_key(" 0012345 ", salt=SALT) == key
    assert identity.subject_key("12345", salt=SALT) != key
    assert identity.subject_key("0012345", salt=SALT[::-1]) != key


def test_the_salt_is_made_once_and_for_its_owner_only(tmp_path):
    path = tmp_path / "local" / "salt"
    first = identity.load_salt(path)
    assert len(first) == 32
    assert identity.load_salt(path) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_file_that_is_no_salt_is_refused(tmp_path):
    (tmp_path / "salt").write_text("secret")
    with pytest.raises(InputError, match="expected 64 hexadecimal digits"):
        identity.load_salt(tmp_path / "salt")


def test_a_private_file_is_replaced_whole(tmp_path):
    for text in ("first, longer", "second"):
        identity.write_private(tmp_path / "x", text)
    assert (tmp_path / "x").read_text() == "second"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("2019-03-04", "%d.%m.%Y"),
        ("20190304", "%d.%m.%Y"),
        ("04.03.2019", "%d.%m.%Y"),
    ],
)
def test_days_are_read_by_their_named_form(text, pattern):
    assert identity.parse_day(text, pattern=pattern) == datetime.date(2019, 3, 4)


def test_an_ambiguous_day_is_refused_without_repeating_it():
    with pytest.raises(InputError, match="--date-format") as caught:
        identity.parse_day("03/04/2019")
    assert "2019" not in str(caught.value)
    assert identity.parse_day(" ") is None
