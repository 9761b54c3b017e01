"""Studies: a paper's argument computed anew, beside what it printed. One study a folder."""
