"""The benchmark: `python -m bench`. Measures the installed package from outside; imported by nothing in it."""
