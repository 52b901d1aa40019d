"""Where leads come from: each source turns what it reads into batches of raw text columns with canonical names."""
