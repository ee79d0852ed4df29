"""The workflow language: files, their model, the languages of templates and expressions, inputs and discovery."""
