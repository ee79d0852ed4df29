"""Public helpers for tests of plugins: the conformance kit, private brokers, the fault proxy, clocks."""
