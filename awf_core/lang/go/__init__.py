"""Go's runtime as far as workflows can see it: times, durations, numbers, quoting, printing, JSON, regular expressions.

The original tool is written in Go, so its languages show Go's texts and Go's arithmetic. Templates and expressions both
import from here; this package imports neither of them.
"""
