"""YAML as the original tool's library reads it: one reader for the configuration and for workflow files."""
