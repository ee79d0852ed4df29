"""The workflow language: files, their model, the two small languages inside them, inputs and discovery."""
