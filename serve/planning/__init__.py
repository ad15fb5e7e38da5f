"""A capacity model: measured costs, a simulation of replicas, and plans made with it."""
