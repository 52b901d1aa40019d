"""The shipped sequences, each a folder with sequence.toml and its texts, and the campaign that `touchline init` starts from."""
