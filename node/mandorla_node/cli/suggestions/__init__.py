"""Values that a shell suggests. A module here is imported when one of its values is asked for."""
