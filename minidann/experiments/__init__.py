"""What all experiments share: recipes, runs side by side, checkpoints, records, figures."""
