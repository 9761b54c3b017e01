"""The case study of "AI and Memory Wall": BERT and GPT-2 beside what it printed."""
