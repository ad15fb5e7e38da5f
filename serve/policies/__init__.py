"""The policies that hold for a request, and what an operator may change about them."""
