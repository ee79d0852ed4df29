"""Finding, checking and wiring plugins. The only place that knows stevedore and pluggy's manager."""
