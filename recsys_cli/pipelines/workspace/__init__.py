"""What lies in a workspace: folders, inputs, features, the promoted model and run records."""
