"""How many updates a method will take, foretold from a diagnosis."""
