"""What a run is on disk: options, config, directory, files that are whole."""
