"""What makes the generated parts of README and docs: tables and pictures, of the code and of files in docs/results."""
