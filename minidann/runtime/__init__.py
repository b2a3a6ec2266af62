"""What the machine offers: arrays on a CPU or a GPU, threads, files, progress, clear errors."""
