"""What users call: ``scan``, ``rollout``, ``stream``, ``explain``, ``sweep``; with their options, devices, errors."""
