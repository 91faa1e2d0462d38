"""SavedModels for TF Serving: export and the checks around it."""
