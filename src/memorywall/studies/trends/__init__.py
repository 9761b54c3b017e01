"""The growth rates of "AI and Memory Wall": printed, recomputed, refitted to today."""
