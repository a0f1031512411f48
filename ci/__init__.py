"""What the workflows in .github/ run, so that each of their steps can be tried and tested like any other program."""
