"""From a delivery to its settlement. Start reading at `pipeline.py`."""
