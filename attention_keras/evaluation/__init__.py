"""What a trained model is worth: error, localisation, robustness, faithfulness."""
