"""The tabs of the page, one module each with a `build_tab`: layout and wiring only."""
