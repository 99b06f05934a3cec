"""The reader of archive files, on small files in the form of EigenWorms (equal lengths) and JapaneseVowels (not)."""

import numpy as np
import pytest

import parascan as ps

WORMS = """#Worms move by bending.
@problemName EigenWorms
@timestamps false
@missing false
@univariate false
@dimensions 3
@equalLength true
@seriesLength 4
@classLabel true 1 2 3
@data
1.5,-2.0,3e-1,4:0,0,0,1:-1,-1,2,2:3
5,6,7,8:9,10,11,12:13,14,15,16:1
"""
VOWELS = """@problemName JapaneseVowels
@equalLength false
@classLabel true a b
@data

1,2,3:4,5,?:b
# a remark
7:8:a
"""


def write(tmp_path, text):
    path = tmp_path / "File_TRAIN.ts"
    path.write_text(text)
    return path


def test_equal_lengths(tmp_path):
    read = ps.nn.read_ts(write(tmp_path, WORMS))
    assert read.classes == ("1", "2", "3")
    assert read.labels.tolist() == [2, 0]
    expected = np.array([[1.5, 0, -1], [-2, 0, -1], [0.3, 0, 2], [4, 1, 2]], "float32")
    np.testing.assert_array_equal(read.values[0], expected)
    assert [values.dtype for values in read.values] == [np.dtype("float32")] * 2


def test_unequal_lengths_missing_values_and_remarks(tmp_path):
    read = ps.nn.read_ts(write(tmp_path, VOWELS), dtype="float64")
    assert [values.shape for values in read.values] == [(3, 2), (1, 2)]
    np.testing.assert_array_equal(read.values[0], [[1, 4], [2, 5], [3, np.nan]])
    assert read.labels.tolist() == [1, 0]


def test_a_file_without_classes(tmp_path):
    read = ps.nn.read_ts(write(tmp_path, "@classLabel false\n@data\n1,2\n3,4,5\n"))
    assert read.labels.tolist() == [-1, -1]
    assert [len(values) for values in read.values] == [2, 3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("@timeStamps true\n@data\n", "line 1: given time stamps, expected equally spaced"),
        ("@targetLabel true\n@data\n", "line 1: given numbers to predict, expected classes"),
        ("1,2,3\n", "line 1: given '1,2,3', expected a line of the header"),
        ("@classLabel true a\n", "given no @data line"),
        ("@classLabel true a\n@data\n", "given no sequence after @data"),
        ("@classLabel true a\n@data\n1,2:b\n", "line 3: given class 'b', expected one of"),
        ("@classLabel true a\n@data\n1,x:a\n", "line 3: given a value that is no number"),
        ("@classLabel true a\n@data\n1,2:3:a\n", r"line 3: given channels of \[1, 2\] values, expected one length"),
        ("@classLabel true a\n@data\n1:2:a\n1:a\n", "sequence 2: given 1 channels, expected 2"),
    ],
)
def test_refusals(text, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        ps.nn.read_ts(write(tmp_path, text))
