"""The forecast of iterations: the family it is calibrated on, the fit, and the judgement on another family."""
