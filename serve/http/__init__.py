"""The HTTP side: routes, what goes round them, and bodies in and out."""
