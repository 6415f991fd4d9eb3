"""Reading the patients' table."""

import csv
import subprocess
import sys

import numpy as np
import pytest

from clients.training.heart_disease import (
    BUNDLED,
    FEATURES,
    LIMIT,
    MAX_SQUARED_NORM,
    Examples,
    load_hospital,
    load_hospitals,
)
from fl_core.errors import InputError

HEADER = "hospital,age,sex,cp,trestbps,chol,fbs,restecg,thalach,exang,oldpeak,slope,ca,thal,num"
ROW = "North,60,1,3,150,270,0,2,115,1,2.5,,,,4"


def table(tmp_path, *rows, header=HEADER):
    """A file of eleven good rows followed by ``rows``."""
    healthy = ROW.removesuffix("4") + "0"
    path = tmp_path / "patients.csv"
    path.write_text("\n".join([header, *[ROW, healthy] * 5, ROW, *rows]) + "\n", "utf-8", "surrogateescape")
    return path


# ---------------------------------------------------------------- the data set that ships


def test_the_bundled_file_has_flambys_740_complete_patients_in_its_division():
    sizes = {name: (len(one.train), len(one.test), one.incomplete) for name, one in load_hospitals().items()}
    assert sizes == {
        "Cleveland": (199, 104, 0),
        "Hungary": (172, 89, 33),
        "Switzerland": (30, 16, 77),
        "VA Long Beach": (85, 45, 70),
    }


def test_both_parts_of_a_hospital_have_nearly_the_same_share_of_disease():
    for one in load_hospitals().values():
        assert abs(one.train.labels.mean() - one.test.labels.mean()) < 0.05


def test_no_feature_vector_is_longer_than_the_bound_that_stability_rests_on():
    for one in load_hospitals().values():
        for part in (one.train, one.test):
            assert ((part.features.astype(np.float64) ** 2).sum(axis=1) + 1).max() <= MAX_SQUARED_NORM


def test_the_bundled_file_has_its_attribution_beside_it():
    text = BUNDLED.with_name("ATTRIBUTION.md").read_text()
    assert all(
        words in text for words in ("Janosi", "Steinbrunn", "Pfisterer", "Detrano", "CC BY 4.0", "C52P4X")
    )


def test_loading_does_not_import_torch():
    code = "import sys, clients.training.heart_disease; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# ---------------------------------------------------------------- one row


def test_a_row_becomes_scaled_features_and_a_label(tmp_path):
    one = load_hospital(table(tmp_path), "North")
    sick = one.train.features[one.train.labels == 1][0]
    assert dict(zip(FEATURES, sick.tolist(), strict=True)) == {
        "age": 1, "trestbps": 1, "chol": 1, "thalach": -1, "oldpeak": 1.5,
        "sex": 1, "fbs": 0, "exang": 1,
        "cp=2": 0, "cp=3": 1, "cp=4": 0, "restecg=1": 0, "restecg=2": 1,
    }  # fmt: skip


def test_outliers_are_clamped(tmp_path):
    rows = [ROW.replace("270", "100000"), ROW.replace("270", "-100000")]
    one = load_hospital(table(tmp_path, *rows), "North")
    chol = np.concatenate([one.train.features, one.test.features])[:, FEATURES.index("chol")]
    assert sorted(set(chol.tolist())) == [-LIMIT, 1, LIMIT]


def test_the_first_category_is_all_zeros(tmp_path):
    rows = ["South,60,1,1,150,270,0,0,115,1,2.5,,,,4"] * 10
    one = load_hospital(table(tmp_path, *rows), "South")
    assert not one.train.features[:, 8:].any()


def test_a_row_with_a_missing_value_is_left_out_and_counted(tmp_path):
    one = load_hospital(table(tmp_path, ROW.replace(",270,", ",,"), ROW.replace(",270,", ", ,")), "North")
    assert (len(one.train) + len(one.test), one.incomplete) == (11, 2)


def test_columns_may_come_in_any_order_and_others_are_ignored(tmp_path):
    path = table(tmp_path)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    turned = tmp_path / "turned.csv"
    with turned.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["note", *reversed(HEADER.split(","))])
        writer.writeheader()
        writer.writerows(row | {"note": "x"} for row in rows)
    forth, back = load_hospital(path, "North"), load_hospital(turned, "North")
    assert np.array_equal(forth.train.features, back.train.features)


def test_a_hospital_is_read_alike_alone_and_among_others(tmp_path):
    lines = BUNDLED.read_text().splitlines(keepends=True)
    alone = tmp_path / "alone.csv"
    alone.write_text(lines[0] + "".join(line for line in lines if line.startswith("Hungary")))
    here, there = load_hospital(alone, "Hungary"), load_hospital(BUNDLED, "Hungary")
    assert np.array_equal(here.train.features, there.train.features)
    assert np.array_equal(here.test.labels, there.test.labels)


def test_joined_examples_keep_their_order():
    hospitals = list(load_hospitals().values())
    joined = Examples.joined(one.train for one in hospitals)
    assert len(joined) == 486
    assert np.array_equal(joined.features[:199], hospitals[0].train.features)


# ---------------------------------------------------------------- what a person can get wrong


def test_a_missing_file_is_an_input_error_with_a_fix(tmp_path):
    with pytest.raises(InputError, match="cannot be read") as caught:
        load_hospital(tmp_path / "none.csv", "North")
    assert caught.value.fix


def test_a_file_of_several_hospitals_without_the_holder_is_an_input_error_that_quotes_no_cell(tmp_path):
    rows = ["Jane Doe,60,1,1,150,270,0,0,115,1,2.5,,,,4"] * 10
    with pytest.raises(InputError, match=r"'hospital' holds 2 different names, and none.* 'Nord'") as caught:
        load_hospital(table(tmp_path, *rows), "Nord")
    assert "your own patients' lines" in caught.value.fix
    assert "Jane" not in str(caught.value) + caught.value.fix


def test_a_holder_with_too_few_patients_is_told_without_quoting_a_cell(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text(f"{HEADER}\n" + ROW.replace("North", "Jane Doe"))
    with pytest.raises(InputError, match=r"own\.csv has 1 complete rows; at least 10") as caught:
        load_hospital(path, "Nord")
    assert "Jane" not in str(caught.value)


def test_other_hospitals_in_the_file_may_be_small(tmp_path):
    assert load_hospital(table(tmp_path, ROW.replace("North", "South")), "North").incomplete == 0


def test_a_file_of_one_hospital_is_the_holders_whatever_the_file_calls_it(tmp_path):
    here, there = load_hospital(table(tmp_path), "North Clinic"), load_hospital(table(tmp_path), "North")
    assert np.array_equal(here.train.features, there.train.features)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        pytest.param(
            [ROW.replace("270", "high")], "line 13: column 'chol' does not hold a number", id="word"
        ),
        pytest.param(
            [ROW, ROW.replace("60", "?")], "line 14: column 'age' does not hold a number", id="UCI's mark"
        ),
        pytest.param([ROW.replace("60", "nan")], "line 13: column 'age' does not hold a number", id="NaN"),
        pytest.param(
            [ROW.replace("60", "inf")], "line 13: column 'age' does not hold a number", id="infinity"
        ),
        pytest.param(
            [ROW.replace("60,1,3", "60,2,3")], "line 13: column 'sex' must be one of 0, 1", id="sex 2"
        ),
        pytest.param([ROW.replace("60,1,3", "60,1,5")], "column 'cp' must be one of 1, 2, 3, 4", id="cp 5"),
        pytest.param(
            [ROW.replace("0,2,115", "0,1.5,115")], "column 'restecg' must be one of 0, 1, 2", id="restecg"
        ),
        pytest.param([ROW[:-1] + "5"], "column 'num' must be one of 0, 1, 2, 3, 4", id="num 5"),
        pytest.param([ROW + ",1"], "line 13: 15 cells were expected, 16 came", id="cell too many"),
        pytest.param(["North,60"], "line 13: 15 cells were expected, 2 came", id="cells too few"),
        pytest.param(['"open'], "line 13: this is not a CSV file", id="open quote"),
        pytest.param([ROW, ROW + "\udcfc"], "line 14: this is not UTF-8", id="Latin-1"),
        pytest.param(
            ["South,60,1,1,150,270,0,0,115,1,2.5,,,,4"] * 9, "'South' has 9 complete rows", id="few rows"
        ),
    ],
)
def test_a_bad_row_is_an_input_error_that_names_it_and_says_what_to_do(tmp_path, rows, message):
    with pytest.raises(InputError, match=message) as caught:
        load_hospitals(table(tmp_path, *rows))
    assert caught.value.fix


def test_the_message_does_not_repeat_the_cell(tmp_path):
    with pytest.raises(InputError) as caught:
        load_hospitals(table(tmp_path, ROW.replace("270", "Jane Doe")))
    assert "Jane" not in str(caught.value)


def test_missing_and_doubled_columns_are_named(tmp_path):
    header = HEADER.replace("chol", "cholesterol").replace("slope", "age")
    with pytest.raises(InputError, match="each of these columns once: age, chol"):
        load_hospitals(table(tmp_path, header=header))


@pytest.mark.parametrize("raw", [b"", b"\xff\xfe\x00", b"PK\x03\x04"])
def test_a_file_of_another_kind_is_an_input_error(tmp_path, raw):
    path = tmp_path / "other"
    path.write_bytes(raw)
    with pytest.raises(InputError):
        load_hospitals(path)


def test_a_directory_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        load_hospitals(tmp_path)
