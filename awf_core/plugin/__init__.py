"""Find, check and connect plugins. The only package that knows stevedore and pluggy's manager."""
