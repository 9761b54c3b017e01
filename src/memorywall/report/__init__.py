"""Reports: results in; tables, figures, records and text out."""
