"""What is measured, given a trainer: the half that runs inside a worker."""
