"""Formulas of what devices exchange, held against compiled programs of two and of four devices."""

import pytest
from benchmarks.scaling import CASES, Exchange, compiled, counted, serial_share, table

from combinations import some


@pytest.mark.parametrize("devices", some([2, 4], 4))
@pytest.mark.parametrize(
    "case",
    # The smoother compiles for seconds; its recurrences are those of the others.
    [pytest.param(case, marks=[pytest.mark.slow] * ("elk" in case.name)) for case in CASES],
    ids=lambda case: case.name.strip("`"),
)
def test_a_formula_is_what_is_counted_whatever_the_length(case, devices):
    for steps, size in ((64, 3), (1024, 5)):
        assert counted(compiled(case, devices, steps, size), devices) == case.expected(devices, size)


def test_bytes_are_those_that_a_device_receives():
    text = """
    %a = f32[4,3]{1,0} all-gather(%x), dimensions={0}
    %b = (s32[], f32[5]{0}) all-reduce(%y, %z), to_apply=%add
    %c = f32[7]{0} collective-permute(%x), source_target_pairs={{0,1}}
    %d = f32[100]{0} add(%x, %y)
    """
    assert counted(text, 4) == Exchange(3, 3 / 4 * 48 + 2 * 3 / 4 * 24 + 28)


def test_what_was_not_counted_is_marked():
    lines = table(16).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:9]] == [
        *("2, counted", "4, counted", "8, counted", "16, counted", "64, by formula", "512, by formula"),
        "4096, by formula",
    ]
    assert serial_share(1342, 1e5, 16) == pytest.approx(1, rel=1e-2)
