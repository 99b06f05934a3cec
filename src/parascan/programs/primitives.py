"""Names of JAX's primitives by what they do: the only table of them, from which every analysis takes its categories.

Rules for single primitives are kept in the analyses that use them; the names are in this table as well. Of a primitive
in no category nothing is known.
"""

CALLS = frozenset(
    {"call", "checkpoint", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call", "eval_jaxpr", "jit"}
    | {"pjit", "remat", "remat2"}
)
"""Primitives that run one inner program on their operands, and do nothing else."""

PLAIN_CALLS = frozenset({"closed_call", "jit", "pjit"})
"""Calls that have no derivative rule and do not change what is stored for a derivative."""

BRANCHES = frozenset({"cond"})
"""Primitives that run one of several inner programs."""

LOOPS = frozenset({"scan", "while"})
"""Primitives that run an inner program repeatedly."""

CONTROL = BRANCHES | LOOPS
"""Primitives that run an inner program more often than once, or not at all."""

OWN_TANGENTS = frozenset({"call_hi_primitive", "custom_jvp_call"})
"""Calls that may have a derivative rule of the user's own, which forward mode can take."""

OWN_PULLBACKS = frozenset({"custom_vjp_call", "custom_vjp_call_jaxpr"})
"""Calls with a derivative rule of the user's own that only reverse mode can take."""

CALLBACKS = frozenset({"io_callback", "pure_callback"})
"""Primitives that call Python for a result, of which JAX knows no derivative."""

PRINTS = frozenset({"debug_callback", "debug_print"})
"""Primitives that call Python, but whose effect cannot come back into the program."""

RANDOM = frozenset({"random_bits", "random_unwrap", "random_wrap", "threefry2x32"})
"""Primitives of random numbers, whose results are bits or keys."""

DEPEND_ON_BATCH = frozenset({"rng_bit_generator"})
"""Primitives of random numbers that give other numbers when several sequences run at once."""

ADDITIONS = frozenset({"add", "add_any"})
"""Primitives that add two arrays."""

ARITHMETIC = ADDITIONS | frozenset({"div", "integer_pow", "mul", "square", "sub"})
"""Elementwise arithmetic whose results are rounded."""

EXACT_ARITHMETIC = frozenset(
    {"abs", "clamp", "complex", "conj", "imag", "max", "min", "neg", "real", "rem", "select_n"}
)
"""Elementwise arithmetic whose results are entries of the operands, or exact to the last bit."""

EXTREMES = frozenset({"clamp", "max", "min"})
"""Elementwise arithmetic whose result is the larger or smaller one of its operands."""

FUNCTIONS = frozenset(
    {"acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "cos", "cosh", "erf", "erf_inv", "erfc"}
    | {"exp", "exp2", "expm1", "lgamma", "log", "log1p", "log2", "logistic", "pow", "rsqrt", "sin", "sinh", "sqrt"}
    | {"tan", "tanh"}
)
"""Elementary functions, entry by entry."""

LIBRARY_FUNCTIONS = frozenset({"acos", "asin", "atan", "atan2", "cbrt", "cos", "lgamma", "pow", "sin", "tan"})
"""Elementary functions that XLA has no vector code for on a CPU, in any precision."""

LIBRARY_FUNCTIONS_IN_DOUBLE = frozenset({"acosh", "asinh", "atanh", "erf", "erf_inv"})
"""Elementary functions that XLA has no vector code for on a CPU in double precision alone."""

SPECIAL_FUNCTIONS = frozenset(
    {"bessel_i0e", "bessel_i1e", "digamma", "igamma", "igamma_grad_a", "igammac", "polygamma"}
    | {"regularized_incomplete_beta", "zeta"}
)
"""Special functions, entry by entry."""

COSTLY = FUNCTIONS | frozenset({"random_bits", "threefry2x32"})
"""Primitives that take about as long as ten others for each entry."""

COMPARISONS = frozenset({"eq", "eq_to", "ge", "gt", "le", "le_to", "lt", "lt_to", "ne"})
"""Elementwise comparisons of two operands."""

BITWISE = frozenset(
    {"and", "clz", "not", "or", "population_count", "shift_left", "shift_right_arithmetic", "shift_right_logical"}
    | {"xor"}
)
"""Elementwise arithmetic of bits."""

QUANTIZING = frozenset({"ceil", "floor", "round", "sign"})
"""Elementwise primitives whose results have few values, so that they hide the rounding of their operands."""

ELEMENTWISE = (
    ARITHMETIC
    | EXACT_ARITHMETIC
    | FUNCTIONS
    | SPECIAL_FUNCTIONS
    | COMPARISONS
    | BITWISE
    | QUANTIZING
    | frozenset({"convert_element_type", "copy", "is_finite", "mulhi", "name", "nextafter", "one_minus_square"})
    | frozenset({"polynomial", "reduce_precision", "stop_gradient"})
)
"""Primitives whose result at an entry comes from that entry of each operand, or from a scalar."""

IN_KERNELS = (
    ADDITIONS
    | COMPARISONS
    | (FUNCTIONS - {"erf", "erf_inv", "erfc", "lgamma", "log2"})
    | frozenset(
        {
            "abs",
            "bitcast_convert_type",
            "ceil",
            "clamp",
            "convert_element_type",
            "copy",
            "div",
            "floor",
            "integer_pow",
            "is_finite",
        }
    )
    | frozenset({"max", "min", "mul", "name", "neg", "not", "and", "or", "select_n", "sign", "square"})
    | frozenset({"stop_gradient", "sub", "xor"})
) - {"eq_to", "le_to", "lt_to"}
"""Elementwise primitives that a kernel for an accelerator may hold: those that Triton has."""

ZERO_AT_ZERO = frozenset(
    {"abs", "add", "add_any", "asin", "asinh", "atan", "atanh", "cbrt", "ceil", "conj", "convert_element_type", "copy"}
    | {"erf", "expm1", "floor", "imag", "log1p", "max", "min", "name", "neg", "real", "reduce_precision", "round"}
    | {"sign", "sin", "sinh", "sqrt", "square", "stop_gradient", "sub", "tan", "tanh"}
)
"""Elementwise primitives that give zero where all their operands are zero."""

JOINS = frozenset({"concatenate", "stack"})
"""Primitives that put several operands together."""

TAKES = frozenset({"dynamic_slice", "gather"})
"""Primitives that take entries of an operand, at places given by indices."""

MOVES = (
    JOINS
    | TAKES
    | frozenset(
        {"broadcast_in_dim", "dynamic_update_slice", "expand_dims", "pad", "reshape", "rev"}
        | {"slice", "split", "squeeze", "tile", "transpose", "unstack"}
    )
)
"""Primitives whose results are entries of their operands, put elsewhere."""

SCATTERS = frozenset({"scatter", "scatter-add", "scatter-max", "scatter-min", "scatter-mul", "scatter-sub"})
"""Primitives that put updates into an operand, at places given by indices."""

CUTS = TAKES | frozenset({"slice", "split", "unstack"})
"""Primitives whose results are parts of their first operand, none of which needs the others."""

PLACED = MOVES | frozenset({"scatter"})
"""Primitives that put entries elsewhere, by indices that may be known."""

FREE = MOVES | frozenset({"convert_element_type", "copy", "iota", "stop_gradient"})
"""Primitives that compute nothing."""

HANDED_ON = frozenset({"device_put", "optimization_barrier", "sharding_constraint"})
"""Primitives whose results are their operands, perhaps in another layout."""

UNCHANGED = HANDED_ON | frozenset({"copy", "name", "stop_gradient"})
"""Primitives whose results are their operands."""

SUMS = frozenset({"cumsum", "reduce_sum"})
"""Primitives that add up the entries of an operand along axes."""

REDUCTIONS = frozenset(
    {"argmax", "argmin", "reduce_and", "reduce_max", "reduce_min", "reduce_or", "reduce_prod", "reduce_sum"}
    | {"reduce_xor"}
)
"""Primitives that combine the entries along axes into one."""

CUMULATIVE = frozenset({"cumlogsumexp", "cummax", "cummin", "cumprod", "cumsum"})
"""Primitives that combine each entry with those before it along an axis."""

REDUCING = (
    REDUCTIONS
    | CUMULATIVE
    | frozenset({"reduce_window", "reduce_window_max", "reduce_window_min", "reduce_window_sum", "sort"})
)
"""Primitives that combine several entries of an operand, or order them."""

ORDERING = frozenset({"cummax", "cummin", "reduce_max", "reduce_min", "sort"})
"""Primitives whose results are entries of their operands, chosen by how large they are."""

COMPARING = COMPARISONS | EXTREMES | ORDERING
"""Primitives whose results or derivatives depend on which of their operands is the larger one."""

KEEPING = (PLACED | FREE | EXACT_ARITHMETIC | ORDERING) - {"convert_element_type"}
"""Primitives whose results are entries of their operands, or exact to the last bit."""

EXACT = (KEEPING | QUANTIZING | COMPARISONS | BITWISE | RANDOM) | frozenset(
    {"argmax", "argmin", "bitcast_convert_type", "convert_element_type", "is_finite"}
)
"""Primitives that round nothing, except conversions to narrower dtypes."""

PRODUCTS = frozenset({"dot_general"})
"""Primitives that multiply matrices."""

OTHER_VERSIONS = frozenset(
    {
        "checkpoint",
        "core_call",
        "custom_vjp_call_jaxpr",
        "expand_dims",
        "log2",
        "one_minus_square",
        "pjit",
        "polynomial",
    }
    | {"remat"}
)
"""Names that some supported versions of JAX have and others do not."""
