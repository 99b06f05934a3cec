"""Forecasts of how many updates a method will take, from a diagnosis."""
