"""``scan_function``: values and gradients against PyTorch itself, and everything that could go silently wrong."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import parascan as ps
from parascan.torch import scan_function
from parascan.torch.tensors import to_jax, to_tensor

LENGTH, SIZE = 40, 3


def tanh_step(state, x, weights):
    state = jnp.tanh(weights["u"] @ state + weights["w"] * x)
    return state, (state, x)


def tensors(dtype=torch.float64, size=SIZE, length=LENGTH):
    generator = torch.Generator().manual_seed(0)
    init = torch.randn(size, generator=generator, dtype=dtype)
    xs = torch.randn(length, size, generator=generator, dtype=dtype)
    weights = {
        "u": torch.randn(size, size, generator=generator, dtype=dtype) / 4,
        "w": torch.randn(size, generator=generator, dtype=dtype),
    }
    return init, xs, weights


def by_torch(init, xs, weights):
    """The same recurrence in PyTorch's own operations."""
    states = []
    for x in xs:
        init = torch.tanh(weights["u"] @ init + weights["w"] * x)
        states.append(init)
    return init, (torch.stack(states), xs)


def leaves(init, xs, weights):
    return [each.requires_grad_() for each in (init, xs, weights["u"], weights["w"])]


@pytest.mark.parametrize("solver", [None, ps.deer(), ps.Sequential()], ids=["default", "deer", "sequential"])
def test_values_and_gradients_are_those_of_torch(x64, solver):
    arguments = tensors()
    moved = leaves(*arguments)
    results = []
    for run in (by_torch, scan_function(tanh_step, solver=solver)):
        carry, (states, _) = run(*arguments)
        loss = (carry**2).sum() + (states[::3] ** 3).mean()
        results.append((carry, states, *torch.autograd.grad(loss, moved)))
    for mine, expected in zip(*results, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("reverse", [False, True])
def test_gradcheck(x64, reverse):
    init, xs, weights = tensors(size=2, length=5)
    run = scan_function(tanh_step, reverse=reverse)

    def call(init, xs, u, w):
        carry, (states, back) = run(init, xs, {"u": u, "w": w})
        return carry, states, back

    assert torch.autograd.gradcheck(call, leaves(init, xs, weights))


def test_batches_share_the_weights(x64):
    init, xs, weights = tensors()
    moved = leaves(init, xs, weights)
    many, sequences = init.expand(4, SIZE), torch.stack([xs, 2 * xs, -xs, xs.flip(0)])
    carry, (states, _) = scan_function(tanh_step, batched=True)(many, sequences, weights)
    alone = [by_torch(init, each, weights) for each in sequences]
    torch.testing.assert_close(states, torch.stack([each[1][0] for each in alone]))
    found = torch.autograd.grad(carry.square().sum(), moved, retain_graph=True)
    expected = torch.autograd.grad(sum(each[0].square().sum() for each in alone), moved)
    for mine, other in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-9)


def test_inputs_may_be_left_out_and_counters_carried(x64):
    run = scan_function(lambda carry, x: ((carry[0] + 1, 0.5 * carry[1]), carry[0]))
    state = torch.tensor(8.0, dtype=torch.float64, requires_grad=True)
    (count, final), counts = run((torch.tensor(0), state), length=3)
    assert int(count) == 3
    assert counts.tolist() == [0, 1, 2]
    assert counts.dtype == torch.int64
    assert not counts.requires_grad
    final.backward()
    assert state.grad.item() == 0.125


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_dtypes_are_kept(dtype):
    carry, (states, xs) = scan_function(tanh_step)(*tensors(dtype))
    assert carry.dtype == states.dtype == xs.dtype == dtype


@pytest.mark.parametrize("dtype", [torch.float64, torch.int64])
def test_numbers_that_jax_would_narrow_are_refused(dtype):
    with pytest.raises(TypeError, match=rf"xs: given {dtype}.*jax_enable_x64"):
        scan_function(lambda s, x: (s + x, s))(torch.zeros(()), torch.ones(4, dtype=dtype))


@pytest.mark.parametrize("requires_grad", [False, True])
def test_unaligned_transposed_and_expanded_tensors_are_read_right(x64, requires_grad):
    flat = torch.arange(1 + LENGTH * SIZE, dtype=torch.float64) / 100
    init, _, weights = tensors()
    init.requires_grad_(requires_grad)
    run = scan_function(tanh_step)
    for xs in (
        flat[1:].view(LENGTH, SIZE),
        flat[1:].view(SIZE, LENGTH).t(),
        flat[:SIZE].expand(LENGTH, SIZE),
        flat[1:].view(LENGTH, SIZE)[:, ::2].repeat(1, 2)[:, :SIZE],
    ):
        torch.testing.assert_close(run(init, xs, weights)[1], by_torch(init, xs, weights)[1])


def test_tensors_and_arrays_share_no_memory():
    tensor = torch.ones(4096)
    array = to_jax("x", tensor)
    tensor.zero_()
    assert float(array.min()) == 1
    back = to_tensor(array)
    back.zero_()
    assert float(array.min()) == 1


def test_what_was_given_or_returned_may_be_written_to(x64):
    """An optimizer steps in place between the forward and the backward pass; outputs are written to."""
    init, xs, weights = tensors()
    moved = leaves(init, xs, weights)
    expected = torch.autograd.grad(by_torch(init, xs, weights)[0].sum(), moved)
    carry, (states, back) = scan_function(tanh_step)(init, xs, weights)
    with torch.no_grad():
        for each in (*moved, states, back):
            each.zero_()
    found = torch.autograd.grad(carry.sum(), moved)
    for mine, other in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-9)


def test_a_second_backward_pass_is_refused_as_by_torch(x64):
    arguments = tensors()
    moved = leaves(*arguments)
    loss = scan_function(tanh_step)(*arguments)[0].sum()
    kept = torch.autograd.grad(loss, moved, retain_graph=True)
    again = torch.autograd.grad(loss, moved)
    for one, two in zip(kept, again, strict=True):
        assert torch.equal(one, two)
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


@pytest.mark.parametrize("unused", [False, True])
def test_a_derivative_of_a_gradient_is_refused_and_not_cut(x64, unused):
    init, xs, weights = tensors()
    leaves(init, xs, weights)
    carry, _ = scan_function(tanh_step)(init, xs, weights)
    (gradient,) = torch.autograd.grad(carry.sum(), init, create_graph=True)
    torch.testing.assert_close(gradient, torch.autograd.grad(by_torch(init, xs, weights)[0].sum(), init)[0])
    with pytest.raises(RuntimeError, match="first derivatives only"):
        torch.autograd.grad((init * gradient).sum(), weights["u"], allow_unused=unused)


def test_backward_works_in_a_thread_where_jax_has_its_defaults(x64):
    init, xs, weights = tensors()
    moved = leaves(init, xs, weights)
    loss = scan_function(tanh_step)(init, xs, weights)[0].sum()
    expected = torch.autograd.grad(loss, moved, retain_graph=True)
    found = []
    thread = threading.Thread(target=lambda: found.extend(torch.autograd.grad(loss, moved)))
    thread.start()
    thread.join()
    for mine, other in zip(found, expected, strict=True):
        assert mine.dtype == torch.float64
        assert torch.equal(mine, other)


@pytest.mark.parametrize("requires_grad", [False, True])
def test_a_failed_solve_is_an_exception_with_its_cure(requires_grad):
    lorenz = ps.systems.get("lorenz")
    run = scan_function(lambda s, x: (lorenz.step(s, None), s), solver=ps.deer(), max_iterations=3)
    init = torch.tensor([1.0, 1.0, 20.0], requires_grad=requires_grad)
    with pytest.raises(ps.RolloutError, match=r"^The rollout used up its iterations.*Raise max_iterations") as caught:
        run(init, length=500)
    assert caught.value.solution is None
    assert "Traceback" not in str(caught.value)


def test_nothing_is_recorded_without_gradients():
    init, xs, weights = tensors(torch.float32)
    init.requires_grad_()
    with torch.no_grad():
        carry, _ = scan_function(tanh_step)(init, xs, weights)
    assert not carry.requires_grad


def test_a_shape_is_traced_once():
    traced = []

    def step(state, x):
        traced.append(None)
        return state + x, state

    run = scan_function(step)
    run(torch.zeros(2), torch.ones(5, 2))
    count = len(traced)
    run(torch.ones(2), torch.zeros(5, 2))
    assert len(traced) == count
    run(torch.ones(2), torch.zeros(6, 2))
    assert len(traced) > count


@pytest.mark.parametrize(
    ("init", "xs", "error", "text"),
    [
        (np.zeros(2), torch.ones(4, 2), TypeError, "init: given ndarray, expected a torch.Tensor"),
        ((torch.zeros(2), 1.0), torch.ones(4, 2), TypeError, r"init\[1\]: given float"),
        (torch.zeros(2), torch.ones(4, 2).to_sparse(), ValueError, "xs: given a tensor of layout torch.sparse_coo"),
        (torch.zeros(2, dtype=torch.complex64), torch.ones(4, 2), TypeError, "expected real numbers"),
        (
            torch.zeros(2),
            torch.ones(4, 2, device="meta"),
            ValueError,
            "xs: given a tensor on meta, expected one on the",
        ),
    ],
)
def test_tensors_that_cannot_be_taken_are_refused_by_name(init, xs, error, text):
    with pytest.raises(error, match=text):
        scan_function(lambda s, x: (jax.tree.map(lambda leaf: leaf + x.sum(), s), x))(init, xs)


@pytest.mark.parametrize("transform", [torch.func.grad, torch.vmap], ids=["grad", "vmap"])
def test_transformations_of_torch_are_refused_in_words(transform):
    run = scan_function(lambda s, x: (s + x, s))
    given = torch.zeros(()) if transform is torch.func.grad else torch.zeros(2)
    with pytest.raises(ValueError, match=r"init: .* cannot be transformed by torch.func or torch.vmap"):
        transform(lambda init: run(init, torch.ones(3))[0])(given)


# PyTorch's compiler warns about what it does itself.
@pytest.mark.filterwarnings("ignore:The .grad attribute")
def test_a_compiled_model_calls_it_as_it_is():
    run = scan_function(lambda s, x: (0.5 * s + x, s))
    init = torch.tensor(0.0, requires_grad=True)
    torch.compile(lambda init: 2 * run(init, torch.ones(3))[0], backend="eager")(init).backward()
    assert init.grad.item() == 0.25


def test_a_step_that_cannot_be_called_is_refused():
    with pytest.raises(TypeError, match="step: given int"):
        scan_function(3)
