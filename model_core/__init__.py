"""The multi-exit vision-language model: exits, runtime, training and evaluation."""
