"""How fast errors grow: exponents, constants of growth, and the pilots that measure them."""
