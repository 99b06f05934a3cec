"""What is solved: step and carry as a recurrence of flat states, its Jacobians, and its states at block boundaries."""
