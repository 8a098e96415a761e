"""The files of one version, verified before they are opened: vectors, keys, attributes."""
