"""The Gradio page: an HTTP client of the service."""
