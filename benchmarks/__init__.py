"""Every performance claim, measured beside the limit it is held against."""
