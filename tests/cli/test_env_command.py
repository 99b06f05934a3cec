"""``parascan env``: versions, devices and the machine's record."""

import jax
from output import result_of

import parascan as ps


def test_env_as_json(invoke):
    found = result_of(invoke("env", "--json"), "env")
    assert list(found) == ["versions", "devices", "machine record"]
    assert found["versions"]["parascan"] == ps.__version__
    assert found["versions"]["jax"] == jax.__version__
    assert found["devices"]["platform"] == "cpu"
    assert found["machine record"]["cores"] >= 1


def test_env_for_readers(invoke):
    result = invoke("env")
    assert result.exit_code == 0
    for text in (jax.__version__, ps.__version__, "processor", "origin"):
        assert text in result.output
