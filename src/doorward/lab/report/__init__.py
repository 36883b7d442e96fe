"""What the lab found. ``model`` says what it means; every other module is one format, and decides nothing."""
