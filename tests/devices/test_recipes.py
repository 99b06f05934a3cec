"""The recipes for clusters, with the variables that a cluster sets, as two processes of this machine."""

import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from process_launch import LONGEST, free_port

import parascan as ps

PAGE = Path(__file__).parents[2] / "docs" / "clusters.md"
BLOCK = re.compile(r"^## (.+?)$(?:(?!^## ).)*?^```python\n(.*?)^```$", re.M | re.S)


def slurm(process, port):
    """What ``srun`` sets; the port is JAX's own variable, since it follows from the number of the job."""
    names = {"JOB_ID": 1, "STEP_NODELIST": "localhost", "NTASKS": 2, "PROCID": process, "LOCALID": process}
    return {"JAX_COORDINATOR_PORT": port, **{f"SLURM_{name}": value for name, value in names.items()}}


def kubernetes(process, port):
    """What the runtime of Kubeflow's trainer sets."""
    address = f"localhost:{port}"
    return {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": 2, "JAX_PROCESS_ID": process}


@pytest.mark.slow  # Two processes start, compile and exchange messages.
@pytest.mark.parametrize(("heading", "variables"), [("Slurm", slurm), ("Kubernetes", kubernetes)])
def test_a_recipe_runs(heading, variables, tmp_path):
    found = dict(BLOCK.findall(PAGE.read_text()))
    for name in (heading, "The program"):
        (tmp_path / name).write_text(found[name])
    signal = np.random.default_rng(0).normal(size=(6144, 3)).astype(np.float32)
    np.save(tmp_path / "signal.npy", signal)
    common = {"JAX_CPU_COLLECTIVES_IMPLEMENTATION": "gloo", "JAX_NUM_CPU_DEVICES": 1}
    kept = {"JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir or ""}
    kept["PYTHONPATH"] = os.pathsep.join([str(Path(ps.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    for _ in range(2):  # Started again when it has ended, a recipe leaves what it has written.
        port = free_port()
        command = [sys.executable, str(Path(__file__).with_name("process_recipe.py")), heading, "The program"]
        started = []
        for process in range(2):
            environment = {**common, **kept, **variables(process, port)}
            environment = {**os.environ, **{name: str(value) for name, value in environment.items()}}
            pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
            started.append(subprocess.Popen(command, env=environment, cwd=tmp_path, **pipes))
        try:
            for each in started:
                _, err = each.communicate(timeout=LONGEST)
                assert each.returncode == 0, err[-3000:]
        finally:
            for each in started:
                each.kill()
    step = lambda s, x: (jnp.tanh(0.5 * s + x),) * 2  # noqa: E731
    expected = np.asarray(jax.lax.scan(step, jnp.zeros(3), signal)[1])
    outputs = np.concatenate([np.load(tmp_path / f"outputs_{process}.npy") for process in range(2)])
    np.testing.assert_allclose(outputs, 2 * expected, atol=4e-6)
    # Each process has written its rows of every window, and left those of the other zero.
    parts = [np.load(tmp_path / f"states_{process}.npy") for process in range(2)]
    assert all((part == 0).all(axis=1).sum() == len(signal) // 2 for part in parts)
    np.testing.assert_allclose(sum(parts), expected, atol=4e-6)
    assert {path.name for path in tmp_path.glob("state.*")} == {
        *("state.0", "state.0.before", "state.1", "state.1.before")
    }
