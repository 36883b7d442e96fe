"""What messages mean: versions and eras, actions, definitions, and the state of a link. Pure."""
