"""What is solved: step and carry as a recurrence of flat states, its Jacobians, and its view at chunk boundaries."""
