"""Results kept and computed once: keys, entries, where they are kept, and what is in flight."""
