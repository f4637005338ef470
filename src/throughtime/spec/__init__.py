"""What the package agrees on: cells, sizes, names, the model's configuration, errors, tolerances. Computes nothing."""
