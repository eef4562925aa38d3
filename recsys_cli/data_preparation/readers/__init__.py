"""Reading source tables: parquet and CSV files, folders, object stores and the web."""
