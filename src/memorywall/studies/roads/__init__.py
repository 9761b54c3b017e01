"""Two roads to one program: a model's config, and transformers' class traced."""
