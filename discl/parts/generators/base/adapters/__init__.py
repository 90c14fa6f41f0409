"""What is added to a checkpoint: adapters, words, image prompts, control, fewer bits a weight."""
