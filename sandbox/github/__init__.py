"""GitHub emulated: Actions secrets by real sealed boxes, variables, environments, workflow dispatch and its runs."""
