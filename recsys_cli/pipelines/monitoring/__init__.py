"""What `report` compares: drift of the data, and how earlier lists performed."""
