"""Training: data, losses, the one loop, and a small recipe per way of training."""
