"""JAX functions compiled for an H100 on a host that has none: XLA's compiler for GPUs with ptxas; nothing runs.

It needs ``jax[cuda13]`` in an environment of its own (``make gpu-check``).
"""

import os
from collections.abc import Callable
from typing import Any

import jax
from jax.experimental import topologies

from parascan.planning import compiling_for

DEVICE = """
gpu_device_info {
  threads_per_block_limit: 1024  threads_per_warp: 32  shared_memory_per_block: 49152  shared_memory_per_core: 233472
  threads_per_core_limit: 2048  core_count: 132  fpus_per_core: 128  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535  block_dim_limit_z: 65535  memory_bandwidth: 3352320000000  l2_cache_size: 52428800
  clock_rate_ghz: 1.98  device_memory_size: 84929347584  shared_memory_per_block_optin: 232448
  cuda_compute_capability { major: 9 }  registers_per_core_limit: 65536  registers_per_block_limit: 65536
}
platform_name: "CUDA"  dnn_version_info { major: 9 minor: 7 }  runtime_version { major: 13 minor: 0 patch: 0 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
"""What the compiler is to know of the device."""


def compiled(function: Callable[..., Any], *arguments: Any) -> Any:
    """The compiled program of a function.

    Args:
        function: to be compiled, traced as for a GPU.
        *arguments: arrays, or ``ShapeDtypeStruct`` of them.
    """
    # The check asks the driver, which is not there.
    os.environ.setdefault("JAX_SKIP_CUDA_CONSTRAINTS_CHECK", "1")
    topology = topologies.get_topology_desc(platform="cuda", target_config=DEVICE, topology="1x1x1")
    sharding = jax.NamedSharding(topologies.make_mesh(topology, (1,), ("device",)), jax.P())

    def placed(leaf: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

    with compiling_for("cuda", kernels=True):
        return jax.jit(function).lower(*jax.tree.map(placed, arguments)).compile()
