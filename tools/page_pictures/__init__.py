"""Pictures of the real page for the documentation."""
