"""Ships the log of predictions into the lake, and says how good models are."""
