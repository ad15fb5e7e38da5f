"""Commands for the working tree; nothing here is installed with the package."""
