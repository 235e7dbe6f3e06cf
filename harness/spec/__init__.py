"""What can be run, as plain frozen data: problems, recipes, cells. No computation, no framework."""
