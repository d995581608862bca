"""Everything that trains the Word Deep Net; needs the `training` extra, and is never imported by the server."""
